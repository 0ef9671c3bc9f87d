"""`make run` with files and a port of its own."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devtools.ports import LOOPBACK, free_port
from devtools.service import ROOT
from devtools.settings_for_tests import SETTINGS

START_TIMEOUT = 150.0


class Run:
    """One `make run` with files and a port of its own."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.port = free_port()
        self.output = directory / "output"
        own = {
            "ENV_FILE": "",
            "PORT": str(self.port),
            "DATABASE_URL": f"sqlite:///{directory / 'db.sqlite3'}",
            "PAYFLOW_RUN_DIRECTORY": str(directory),
        }
        shell = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        self.environment = shell | own | variables
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with self.output.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "devtools.run"],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def start_and_wait(self) -> None:
        with one_at_a_time():
            self._start_and_wait()

    def refusal(self) -> str:
        """The one line with which it refuses to start."""
        with one_at_a_time():
            self.start()
            assert self.wait() != 0
        assert self.text.count("\n") == 1, self.text
        return self.text

    def _start_and_wait(self) -> None:
        self.start()
        deadline = time.monotonic() + START_TIMEOUT
        while "curl" not in self.text:
            assert self._process
            assert self._process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.1)

    @property
    def text(self) -> str:
        return self.output.read_text()

    @property
    def processes(self) -> dict[int, str]:
        """The running servers: command lines by process id."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if f"{LOOPBACK}:{self.port}" in line:
                    found[int(path.parent.name)] = line
        return found

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        assert self._process
        self._process.send_signal(by)
        return self.wait()

    def wait(self) -> int:
        assert self._process
        return self._process.wait(START_TIMEOUT)

    def demo(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "devtools.demo"]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )

    def clean_up(self) -> None:
        if self._process and self._process.poll() is None:
            self.end()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """A lock among test workers: two would both find Stripe's default port free."""
    with (Path(tempfile.gettempdir()) / f"payflow-test-run-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
