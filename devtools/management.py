"""Runs manage.py as a process of its own, for programs that prepare a server's database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from devtools.service import ROOT


class CommandFailedError(Exception):
    """A management command failed; the text is its own complaint."""


def manage(environment: Mapping[str, str], *arguments: str) -> str:
    """What a management command prints. Raises CommandFailedError."""
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
        complaint = (done.stderr or done.stdout).strip().removeprefix("payflow: ")
        raise CommandFailedError(f"manage.py {arguments[0]} failed: {complaint}")
    return done.stdout
