"""Chromium for the browser tests: the machine's own, else Debian's package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGE = "chromium"
MISSING = (
    "payflow: the browser tests need Chromium and there is none in PATH. "
    f"On Debian: apt-get install {PACKAGE}"
)


def find_chromium() -> Path | None:
    """The first Chromium in PATH."""
    found = (shutil.which(name) for name in NAMES)
    return next((Path(path) for path in found if path), None)


def main() -> int:
    """Install Chromium if needed; print what to do if it can't be installed."""
    if find_chromium() is None:
        install()
    if find_chromium() is None:
        print(MISSING, file=sys.stderr)
        return 1
    return 0


def install() -> None:
    """Install Debian's package if apt needs no password."""
    administrator = as_administrator()
    if administrator is None or shutil.which("apt-get") is None:
        return
    print(f"payflow: there is no Chromium; installing Debian's package {PACKAGE}", flush=True)
    apt = [*administrator, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    subprocess.run([*apt, "update"], check=False)
    options = ["--no-install-recommends", "--yes", "-o", "Dpkg::Use-Pty=0"]
    subprocess.run([*apt, "install", *options, PACKAGE], check=False, stdout=subprocess.DEVNULL)


def as_administrator() -> list[str] | None:
    """The command prefix that runs as root without a password, or None."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if (
        sudo
        and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return [sudo, "-n"]
    return None


if __name__ == "__main__":
    sys.exit(main())
