"""Builds the virtual environment from a lock; run by the Makefile with the machine's own Python.

uv installs a lock in seconds where pip takes a minute. pip installs uv itself, hash-locked like all
else, and does its work where uv can't run or can't reach the index.
This module uses the standard library only, and prints one line when something is missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
DEBIAN_WHEELS = Path("/usr/share/python-wheels")
UV_LOCK = ROOT / "requirements" / "uv.txt"

NO_VENV = (
    "payflow: this Python cannot make virtual environments. "
    "On Debian or Ubuntu: apt-get install python3-venv"
)


def main() -> int:
    arguments = parse_arguments()
    if arguments.fresh and not make_environment():
        return 1
    return install(arguments.lock, arguments.stamp)


def make_environment() -> bool:
    """Create an empty virtual environment, replacing an existing one."""
    if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        print(NO_VENV, file=sys.stderr)
        return False
    if VENV.is_symlink():  # what it points to is another's
        print(f"payflow: {VENV.name} is a symbolic link: remove it", file=sys.stderr)
        return False
    print(f"payflow: making {VENV.name} with Python {sys.version.split()[0]}", flush=True)
    # Without pip, which takes eight seconds to install; the developers' set has it.
    make = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)]
    return subprocess.run(make, check=False).returncode == 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path, help="the requirements file with hashes")
    parser.add_argument("stamp", type=Path, help="written when everything is installed")
    parser.add_argument("--fresh", action="store_true", help="start from an empty environment")
    return parser.parse_args()


def install(lock: Path, stamp: Path) -> int:
    """Install a lock, and replace the stamps of its older versions."""
    print(f"payflow: installing {lock}", flush=True)
    with compiling_our_code():
        installed = with_uv(lock) or with_pip(lock)
    if not installed:
        print(f"payflow: pip could not install {lock}; see above", file=sys.stderr)
        return 1
    kind = stamp.name.split("-")[0]
    for old in stamp.parent.glob(f"{kind}-*"):
        old.unlink()
    stamp.touch()
    return 0


@contextmanager
def compiling_our_code() -> Iterator[None]:
    """Write the bytecode of our own modules meanwhile: fetching leaves a processor idle."""
    folders = [str(path.parent) for path in ROOT.glob("*/__init__.py")]
    compile_all = [str(PYTHON), "-m", "compileall", "-q", "-x", "/tests/", *folders]
    with subprocess.Popen(compile_all, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        yield


def with_uv(lock: Path) -> bool:
    """Whether uv has installed the lock. It says nothing: pip is tried next."""
    if not UV.exists() and not with_pip(UV_LOCK, quietly=True):
        return False
    uv = [str(UV), "pip", "install", "--quiet", "--python", str(PYTHON)]
    try:
        done = subprocess.run(
            [*uv, "--require-hashes", "-r", str(lock)], check=False, capture_output=True
        )
    except OSError:  # built for another kind of machine
        return False
    return done.returncode == 0


def with_pip(lock: Path, *, quietly: bool = False) -> bool:
    """Whether pip has installed the lock: the machine's pip, or that of Python.

    The second starts two seconds later, but the first may be missing, broken or too old.
    """
    installed = run_pip([sys.executable, "-m", "pip", "--python", str(PYTHON)], lock, quietly=True)
    return installed or run_pip([str(PYTHON), f"{bundled_pip()}/pip"], lock, quietly=quietly)


def run_pip(pip: list[str], lock: Path, *, quietly: bool) -> bool:
    options = ("--disable-pip-version-check", "--quiet", "install", "--require-hashes", "--no-user")
    install = [*pip, *options, "-r", str(lock)]
    return subprocess.run(install, check=False, capture_output=quietly).returncode == 0


def bundled_pip() -> Path:
    """The wheel of pip that comes with Python, or on Debian with python3-venv."""
    ensurepip = Path(str(importlib.util.find_spec("ensurepip").origin)).parent  # type: ignore[union-attr]  # make_environment has looked for it
    wheels = [*(ensurepip / "_bundled").glob("pip-*.whl"), *DEBIAN_WHEELS.glob("pip-*.whl")]
    return wheels[0]


if __name__ == "__main__":
    sys.exit(main())
