"""Holds one server, and ends it when the process that asked for it is gone.

Run as a program of its own, with its task as JSON. Standard input is a pipe from the process that
asked: its end means "stop", whether it was closed in good order or by that process's death, even
by SIGKILL, which no exit handler survives.
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
    """Where the server's output goes; empty for the keeper's own."""
    uid: int | None = None
    gid: int | None = None
    directories: Sequence[str] = field(default_factory=tuple)
    """Given to that user before, removed after."""
    stop_signal: int = signal.SIGTERM
    stop_timeout: float = 10.0


def command_for(task: Task) -> list[str]:
    """How to start a keeper; its standard input must be a pipe."""
    return [sys.executable, __file__, json.dumps(asdict(task))]


def keep(task: Task) -> int:
    """Prepare, serve until told to stop, leave nothing behind. Returns the server's status."""
    try:
        own(task)
        return prepare(task) or serve(task)
    finally:
        for directory in task.directories:
            shutil.rmtree(directory, ignore_errors=True)


def own(task: Task) -> None:
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
        return hold(task, start(task, task.serve, None))
    log = Path(task.log)
    with log.open("ab") as output:
        status = hold(task, start(task, task.serve, output.fileno()))
    if status:
        print("\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:]))
    return status


def start(task: Task, command: Sequence[str], output: int | None) -> subprocess.Popen[bytes]:
    """Leader of a group of its own, so that all it starts can be ended with it."""
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


def hold(task: Task, server: subprocess.Popen[bytes]) -> int:
    """Wait for the pipe's end, then stop the server; its status when it ended by itself, else 0."""
    try:
        while server.poll() is None:
            readable, _, _ = select.select([sys.stdin], [], [], POLL_INTERVAL)
            if readable:
                return 0
        return server.returncode if server.returncode > 0 else 128 - server.returncode
    finally:
        stop(task, server)


def stop(task: Task, server: subprocess.Popen[bytes]) -> None:
    """Ask the whole group, and after a while do not ask."""
    signal_group(server, task.stop_signal)
    with suppress(subprocess.TimeoutExpired):
        server.wait(task.stop_timeout)
    signal_group(server, signal.SIGKILL)
    server.wait()


def signal_group(server: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, number)


def leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    sys.exit(keep(Task(**json.loads(sys.argv[1]))))
