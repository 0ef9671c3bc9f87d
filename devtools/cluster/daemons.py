"""Starts programs that outlive this process, and stops them by their process group."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STOP_TIMEOUT = 60.0
# PostgreSQL, PgBouncer and others refuse to run as root.
UNPRIVILEGED = "postgres"
# Those that this process started, by their process id: it must fetch their status.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Daemon:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    as_root: bool = False
    """Run as the caller, even if that is root: what reads the checkout."""
    directory: str = "/"


def unprivileged() -> pwd.struct_passwd | None:
    """The account for programs that refuse to run as root; None if the caller is not root."""
    return pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None


def start(daemon: Daemon, run: Path) -> None:
    """Start the program in a session of its own; its output goes to a log in `run`."""
    account = None if daemon.as_root else unprivileged()
    with (run / f"{daemon.name}.log").open("ab") as log:
        process = subprocess.Popen(
            daemon.command,
            cwd=daemon.directory,
            env=daemon.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
        )
    _CHILDREN[process.pid] = process
    (run / f"{daemon.name}.pid").write_text(f"{process.pid} {_started_at(process.pid)}")


def is_running(name: str, run: Path) -> bool:
    return _pid(name, run) is not None


def send(name: str, number: signal.Signals, run: Path, *, group: bool = False) -> None:
    """Send a signal to the program, or to its whole group."""
    pid = _pid(name, run)
    if pid is not None:
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(pid, number)


def stop(name: str, run: Path) -> None:
    """Stop by SIGTERM, after a minute by SIGKILL, and wait for the end. Can be repeated."""
    send(name, signal.SIGTERM, run)
    if not wait(name, run, STOP_TIMEOUT):
        kill(name, run)
    (run / f"{name}.pid").unlink(missing_ok=True)


def kill(name: str, run: Path) -> None:
    """End the program and its children at once."""
    send(name, signal.SIGKILL, run, group=True)
    wait(name, run, STOP_TIMEOUT)


def wait(name: str, run: Path, seconds: float) -> bool:
    """Wait for the end of the program; return whether it has ended."""
    deadline = time.monotonic() + seconds
    while is_running(name, run):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def names(run: Path) -> list[str]:
    """The programs that were started and not stopped."""
    return [file.stem for file in run.glob("*.pid")]


def _pid(name: str, run: Path) -> int | None:
    """The process id if the process still runs and is the one that was started."""
    try:
        pid, started_at = (run / f"{name}.pid").read_text().split()
    except FileNotFoundError:
        return None
    child = _CHILDREN.get(int(pid))
    if child and child.poll() is not None:
        del _CHILDREN[child.pid]
    return int(pid) if _started_at(int(pid)) == started_at else None


def _started_at(pid: int) -> str | None:
    """When the process started, in the kernel's ticks; None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]
