"""Installs npm packages: by default Stripe's description of its API, and its command line."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

PACKAGES = {"stripe": "23.1.0", "typescript": "5.9.3", "@stripe/cli": "1.52.0"}
"""Exact versions. stripe 23.1.0 is of API version 2026-10-28.endive, the sandbox's own."""
_TIMEOUT = 300


class NotInstalledError(Exception):
    """Node or a package is missing; the text says which."""


def install(folder: Path, packages: Mapping[str, str] = PACKAGES) -> None:
    """Install the packages into a folder, unless it has them. Raises NotInstalledError."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotInstalledError(
                f"{program} is not in PATH (Node 20 or newer; on Debian: apt-get install npm)"
            )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _missing(folder, packages):
            (folder / "package.json").write_text('{"private": true}\n')
            _install(folder, packages)


def _install(folder: Path, packages: Mapping[str, str]) -> None:
    names = [f"{name}@{version}" for name, version in packages.items()]
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"]
    done = subprocess.run(  # noqa: S603 (pinned packages)
        [*command, *names],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    if missing := _missing(folder, packages):
        raise NotInstalledError(
            f"npm could not install {', '.join(missing)}: {done.stderr.strip()[-500:]}"
        )


def _missing(folder: Path, packages: Mapping[str, str]) -> list[str]:
    return [
        f"{name}@{wanted}" for name, wanted in packages.items() if _version(folder, name) != wanted
    ]


def _version(folder: Path, name: str) -> str | None:
    try:
        manifest = json.loads((folder / "node_modules" / name / "package.json").read_text())
    except FileNotFoundError:
        return None
    return str(manifest["version"])
