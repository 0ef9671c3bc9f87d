"""Runs manage.py in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from devtools.service import ROOT


class CommandFailedError(Exception):
    """A management command failed; the text is its error message."""


def manage(environment: Mapping[str, str], *arguments: str) -> str:
    """Run a management command and return its output. Raises CommandFailedError."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = (done.stderr or done.stdout).strip().removeprefix("payflow: ")
        raise CommandFailedError(f"manage.py {arguments[0]} failed: {message}")
    return done.stdout
