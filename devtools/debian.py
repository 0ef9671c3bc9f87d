"""Programs that tests run (nginx, Redis, Caddy …): the machine's own, else Debian's packages.

A missing program fails its tests if CI is set; elsewhere they are skipped by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from devtools.browser import as_administrator

NGINX_MODULES = "/usr/lib/nginx/modules"
NGINX_SET_MISC = f"{NGINX_MODULES}/ngx_http_set_misc_module.so"
PACKAGES = {
    "nginx": "nginx-light",
    NGINX_SET_MISC: "libnginx-mod-http-set-misc",
    "pgbouncer": "pgbouncer",
    "redis-server": "redis-server",
    "caddy": "caddy",
    "promtool": "prometheus",
    "systemd-analyze": "systemd",
    "openssl": "openssl",
    # The commands of the guide.
    "curl": "curl",
    "jq": "jq",
    "psql": "postgresql-client",
}
# Of `make cluster`.
CLUSTER_PACKAGES = {
    **{name: PACKAGES[name] for name in ("nginx", NGINX_SET_MISC, "pgbouncer", "redis-server")},
    "patroni": "patroni",
    "etcd": "etcd-server",
    "haproxy": "haproxy",
    "pg_ctlcluster": "postgresql",
}
# Debian installs some of them where only root's PATH points.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def load_modules() -> str:
    """The lines of nginx.conf that load the modules of deploy/nginx/edge.conf."""
    paths = (f"{NGINX_MODULES}/ndk_http_module.so", NGINX_SET_MISC)
    return "".join(f"load_module {path};\n" for path in paths)


def find(program: str) -> str | None:
    """The path of the program or file, or None."""
    if Path(program).is_file():
        return program
    return shutil.which(program, path=PATH)


def missing(program: str) -> str:
    """The message for a missing program."""
    package = {**PACKAGES, **CLUSTER_PACKAGES}[program]
    return f"{program} is not installed. On Debian: apt-get install {package}"


def main() -> int:
    for program in provide(PACKAGES):
        print(f"payflow: {missing(program)}", file=sys.stderr)
    return 0


def provide(packages: Mapping[str, str]) -> list[str]:
    """Install missing programs if apt needs no password; return what is still missing."""
    wanted = [program for program in packages if find(program) is None]
    if wanted:
        install([packages[program] for program in wanted])
    return [program for program in wanted if find(program) is None]


def install(packages: list[str]) -> None:
    administrator = as_administrator()
    if administrator is None or shutil.which("apt-get") is None:
        return
    print(f"payflow: installing Debian's packages {' '.join(packages)}", flush=True)
    # RUNLEVEL=1 installs without starting a server: the tests start their own.
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    apt = [*administrator, *quiet, "apt-get", "-qq"]
    subprocess.run([*apt, "update"], check=False)
    options = ["--no-install-recommends", "--yes", "-o", "Dpkg::Use-Pty=0"]
    subprocess.run([*apt, "install", *options, *packages], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
