"""Supervises one server, and stops it when the parent process ends.

A program of its own, with its task as JSON. Standard input is a pipe from the parent: when it
closes, the server is stopped. That works also after SIGKILL, when no exit handler runs.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

POLL_INTERVAL = 0.2
LAST_LINES = 20


@dataclass(frozen=True)
class Task:
    """What to run, as whom, how to stop it, and what to remove afterwards."""

    serve: Sequence[str]
    prepare: Sequence[str] = ()
    """Runs to its end before the server."""
    log: str = ""
    """Where the server's output goes; empty for the supervisor's own."""
    uid: int | None = None
    gid: int | None = None
    directories: Sequence[str] = field(default_factory=tuple)
    """Owned by that user while the server runs, and removed afterwards."""
    stop_signal: int = signal.SIGTERM
    stop_timeout: float = 10.0


def command_for(task: Task) -> list[str]:
    """The command that starts a supervisor; its standard input must be a pipe."""
    return [sys.executable, __file__, json.dumps(asdict(task))]


def supervise(task: Task) -> int:
    """Prepare, serve, and clean up; return the server's status."""
    try:
        chown_directories(task)
        return prepare(task) or serve(task)
    finally:
        for directory in task.directories:
            shutil.rmtree(directory, ignore_errors=True)


def chown_directories(task: Task) -> None:
    if task.uid is not None and task.gid is not None:
        for directory in task.directories:
            os.chown(directory, task.uid, task.gid)


def prepare(task: Task) -> int:
    if not task.prepare:
        return 0
    with start(task, task.prepare, subprocess.PIPE) as process:
        output, _ = process.communicate()
    if process.returncode:
        print(output.decode(errors="replace"))
    return process.returncode


def serve(task: Task) -> int:
    if not task.log:
        return wait(task, start(task, task.serve, None))
    log = Path(task.log)
    with log.open("ab") as output:
        status = wait(task, start(task, task.serve, output.fileno()))
    if status:
        print("\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:]))
    return status


def start(task: Task, command: Sequence[str], output: int | None) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own, so that its children end with it."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        user=task.uid,
        group=task.gid,
        extra_groups=None if task.uid is None else [],
        process_group=0,
    )


def wait(task: Task, server: subprocess.Popen[bytes]) -> int:
    """Stop the server when the pipe closes; return its status if it ended by itself, else 0."""
    try:
        while server.poll() is None:
            readable, _, _ = select.select([sys.stdin], [], [], POLL_INTERVAL)
            if readable:
                return 0
        return server.returncode if server.returncode > 0 else 128 - server.returncode
    finally:
        stop(task, server)


def stop(task: Task, server: subprocess.Popen[bytes]) -> None:
    """Stop the whole group by its signal, and after the timeout by SIGKILL."""
    signal_group(server, task.stop_signal)
    with suppress(subprocess.TimeoutExpired):
        server.wait(task.stop_timeout)
    signal_group(server, signal.SIGKILL)
    server.wait()


def signal_group(server: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, number)


def exit_on_signal(_number: int, _frame: FrameType | None) -> None:
    sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, exit_on_signal)
    sys.exit(supervise(Task(**json.loads(sys.argv[1]))))
