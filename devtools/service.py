"""A server in a child process: start it, read its output, wait for it, stop it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import requests

from devtools import supervisor

ROOT = Path(__file__).resolve().parents[1]
LAST_LINES = 20
START_TIMEOUT = 120.0  # of a busy machine
POLL_INTERVAL = 0.1


class ServiceError(Exception):
    """A service ended or does not answer; the text contains its last lines of output."""


class Service:
    """A server under a supervisor: it ends with this process, and Ctrl-C does not reach it."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.echo = False
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process = subprocess.Popen(
            supervisor.command_for(supervisor.Task(serve=command)),
            cwd=ROOT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout], daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def output(self) -> str:
        """The last lines of output."""
        return "".join(self._lines)

    @property
    def server_pid(self) -> int:
        """The process id of the server itself, the supervisor's only child."""
        supervisor_pid = self._process.pid
        children = Path(f"/proc/{supervisor_pid}/task/{supervisor_pid}/children")
        return int(children.read_text())

    def check(self) -> None:
        """Raise ServiceError if the server has ended."""
        status = self._process.poll()
        if status is not None:
            self._reader.join()
            raise ServiceError(f"{self.name} has ended with status {status}:\n{self.output}")

    def wait_for(self, url: str) -> None:
        """Wait until a GET of the URL succeeds."""
        self._wait(lambda: answers(url), f"does not answer at {url}")

    def wait_for_line_with(self, text: str) -> None:
        """Wait until the text is in the last lines of output."""
        self._wait(lambda: text in self.output, f"has not printed {text}")

    def _wait(self, condition: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} {problem}:\n{self.output}")
            time.sleep(POLL_INTERVAL)

    def stop(self) -> None:
        """Stop the server and its children. Can be repeated."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
        self._reader.join()

    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self._lines.append(line)
                if self.echo:
                    print(f"{self.name:>6} | {line}", end="", flush=True)


def answers(url: str) -> bool:
    """Whether a GET of the URL succeeds now."""
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
