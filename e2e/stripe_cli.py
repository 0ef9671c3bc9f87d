"""The official Stripe CLI: installed once into the run directory, then run against a local API.

Its version is pinned because what it says to a local API is not documented.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "@stripe/cli@1.52.0"
NO_NPM = f"npm is not in PATH, and {PACKAGE} is installed with it (on Debian: apt-get install npm)"
SILENCE = 20.0


class CannotInstall(Exception):
    """The CLI is missing and can't be installed; the text says why."""


def install(folder: Path) -> Path:
    """Return the CLI's binary, installing it if needed. Raises CannotInstall."""
    binary = folder / "node_modules" / ".bin" / "stripe"
    if binary.exists():
        return binary
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall(NO_NPM)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(  # noqa: S603 (a pinned package of Stripe's)
        [*command, "--prefix", str(folder), PACKAGE],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if not binary.exists():
        raise CannotInstall(f"npm could not install {PACKAGE}: {done.stderr.strip()[-500:]}")
    return binary


@dataclass(frozen=True)
class StripeCli:
    """The CLI with a base URL or a Unix socket of an API."""

    binary: Path
    home: Path
    api_base: str | None = None
    socket: Path | None = None

    def run(self, *arguments: str) -> str:
        """Run a command and return its output."""
        done = subprocess.run(  # noqa: S603 (Stripe's own program)
            self._command(arguments),
            env=self._environment(arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout

    def trigger(self, event: str, *additions: str) -> str:
        """Trigger an event, with `resource:field=value` overrides."""
        added = [word for addition in additions for word in ("--add", addition)]
        return self.run("trigger", event, *added)

    @contextmanager
    def following(self, *arguments: str) -> Iterator[Following]:
        """Run a command until the block ends."""
        with subprocess.Popen(  # noqa: S603 (Stripe's own program)
            self._command(arguments),
            env=self._environment(arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            following = Following(process)
            try:
                yield following
            finally:
                # The npm command is a wrapper: the program itself is its child.
                os.killpg(process.pid, signal.SIGKILL)
                following.join()

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        base = ["--api-base", self.api_base] if self.api_base else []
        return [str(self.binary), *arguments, *base]

    def _environment(self, arguments: tuple[str, ...]) -> dict[str, str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "STRIPE_API_KEY": "sk_test_of_the_command_line",
            "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
            "NO_COLOR": "1",
        }
        if self.socket is not None:
            environment["STRIPE_CLI_UNIX_SOCKET"] = str(self.socket)
        if self.socket is None or "--skip-update" not in arguments:
            # Nobody is there, so that its look for updates ends at once. With a Unix socket the
            # CLI would take the websocket of `listen` there too.
            environment["HTTPS_PROXY"] = "http://127.0.0.1:9"
        return environment


@dataclass
class Following:
    """The output of a running command."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str, *, count: int = 1) -> str:
        """Wait for the text to appear this often; return the line. Raises TimeoutError."""
        deadline = time.monotonic() + SILENCE
        while time.monotonic() < deadline:
            found = [line for line in self.lines if text in line]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)
        raise TimeoutError(f"no {text!r} in:\n{''.join(self.lines)}")

    def join(self) -> None:
        """Read until the output ends."""
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
