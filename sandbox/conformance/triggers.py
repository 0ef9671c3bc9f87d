"""Runs the triggers of Stripe's command line that concern payments, the catalogue and customers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.testing import RunningSandbox

MIN_TRIGGERS = 44
"""So many triggers of these families has version 1.52.0 of the command line."""
_FAMILIES = re.compile(
    r"^  ((?:balance|charge|checkout|coupon|customer\.(?:created|deleted|updated|discount|source)|"
    r"payment_intent|payment_link|payment_method|price|product|promotion_code)[\w.]*)$",
    re.MULTILINE,
)
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_FAILURE = re.compile(r"trigger failed|request failed", re.IGNORECASE)
_TIMEOUT = 60
_AT_ONCE = 4


@dataclass(frozen=True)
class Trigger:
    """A trigger that was run; `error` is empty if it succeeded."""

    name: str
    error: str


def run_triggers(binary: Path, sandbox: RunningSandbox) -> list[Trigger]:
    """Run every trigger of the families."""
    with TemporaryDirectory() as home:
        cli = _Cli(binary, sandbox.url, home)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(cli.trigger, cli.names()))


class _Cli:
    def __init__(self, binary: Path, base: str, home: str) -> None:
        self._binary = binary
        self._base = base
        self._environment = {
            "HOME": home,
            "HTTPS_PROXY": "http://127.0.0.1:9",  # its update check fails at once
            "PATH": os.environ.get("PATH", os.defpath),
            "STRIPE_API_KEY": "sk_test_conformance1234567890",
            "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
            "XDG_CONFIG_HOME": home,
        }

    def names(self) -> Iterator[str]:
        """The triggers that its help lists."""
        yield from _FAMILIES.findall(self._run("trigger", "--help"))

    def trigger(self, name: str) -> Trigger:
        """Run one trigger."""
        try:
            output = self._run("trigger", name, "--api-base", self._base)
        except subprocess.TimeoutExpired:
            return Trigger(name, f"no end after {_TIMEOUT} s")
        if "Trigger succeeded" in output and not _FAILURE.search(output):
            return Trigger(name, "")
        messages = re.findall(r'"message": "[^"]*"|.*failed.*', output)
        return Trigger(name, " ".join(messages[:2]) or output[-200:])

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 (Stripe's command line)
            [str(self._binary), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        return _COLORS.sub("", done.stdout + done.stderr)
