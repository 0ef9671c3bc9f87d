"""Holds one private PostgreSQL server, and removes it when the process that asked for it is gone.

Run by ``devtools.postgres`` with the task as JSON. Standard input is a pipe from that process: its
end means "stop", whether it was closed in good order or by its owner's death, even by SIGKILL,
which no exit handler survives.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import TypedDict

STOP_TIMEOUT = 15.0
LAST_LINES = 20


class Task(TypedDict):
    """What to run, and what to remove afterwards; ids are None for the keeper's own account."""

    directories: list[str]
    initialise: list[str]
    serve: list[str]
    log: str
    uid: int | None
    gid: int | None


def keep(task: Task) -> int:
    """Prepare the data, serve until told to stop, leave nothing behind."""
    try:
        own(task)
        if not initialise(task):
            return 1
        return serve(task)
    finally:
        for directory in task["directories"]:
            shutil.rmtree(directory, ignore_errors=True)


def own(task: Task) -> None:
    if task["uid"] is not None and task["gid"] is not None:
        for directory in task["directories"]:
            os.chown(directory, task["uid"], task["gid"])


def initialise(task: Task) -> bool:
    answer = subprocess.run(
        task["initialise"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
        user=task["uid"],
        group=task["gid"],
        extra_groups=None if task["uid"] is None else [],
    )
    if answer.returncode:
        print(answer.stdout)
    return answer.returncode == 0


def serve(task: Task) -> int:
    log = Path(task["log"])
    with log.open("ab") as output:
        server = subprocess.Popen(
            task["serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=task["uid"],
            group=task["gid"],
            extra_groups=None if task["uid"] is None else [],
        )
    try:
        wait_for_the_end(server)
        died = server.poll() is not None
    finally:
        stop(server)
    if died:
        print("".join(log.read_text(errors="replace").splitlines(keepends=True)[-LAST_LINES:]))
    return int(died)


def wait_for_the_end(server: subprocess.Popen[bytes]) -> None:
    """Return when the pipe closes or the server dies."""
    while server.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], 0.2)
        if readable:
            return


def stop(server: subprocess.Popen[bytes]) -> None:
    """A fast shutdown: open transactions are rolled back, clients are sent away."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    sys.exit(keep(json.loads(sys.argv[1])))
