"""Programs of other projects that tests run for real: the machine's own, else Debian's packages.

Owns the decision when a missing one is a failure: where CI is set. Elsewhere its tests are
skipped by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from devtools.browser import as_administrator

PACKAGES = {"nginx": "nginx-light", "redis-server": "redis-server"}
# Debian keeps some of them where only root looks.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def find(program: str) -> str | None:
    """The path of the program, or None."""
    return shutil.which(program, path=PATH)


def missing(program: str) -> str:
    """What to say where it is not found."""
    return f"{program} is not installed. On Debian: apt-get install {PACKAGES[program]}"


def main() -> int:
    """Install what is missing, where apt asks nobody for a password; say what remains missing."""
    wanted = [program for program in PACKAGES if find(program) is None]
    if wanted:
        install([PACKAGES[program] for program in wanted])
    for program in wanted:
        if find(program) is None:
            print(f"payflow: {missing(program)}", file=sys.stderr)
    return 0


def install(packages: list[str]) -> None:
    administrator = as_administrator()
    if administrator is None or shutil.which("apt-get") is None:
        return
    print(f"payflow: installing Debian's packages {' '.join(packages)}", flush=True)
    # Installed, not started: the tests start their own.
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    apt = [*administrator, *quiet, "apt-get", "-qq"]
    subprocess.run([*apt, "update"], check=False)
    options = ["--no-install-recommends", "--yes", "-o", "Dpkg::Use-Pty=0"]
    subprocess.run([*apt, "install", *options, *packages], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
