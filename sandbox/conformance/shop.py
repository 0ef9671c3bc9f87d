"""Runs `shop.mjs`, a shop that uses Stripe's Node library."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

MIN_CHECKS = 60
_SCRIPT = Path(__file__).with_suffix(".mjs")
_TIMEOUT = 120


@dataclass(frozen=True)
class ShopResult:
    """How many checks there were, and a line for each that failed."""

    checks: int
    failures: list[str]

    @property
    def passed(self) -> int:
        """How many checks passed."""
        return self.checks - len(self.failures)


def run_shop(folder: Path, url: str) -> ShopResult:
    """Run the shop against a sandbox."""
    done = subprocess.run(  # noqa: S603 (this package's own script)
        ["node", str(_SCRIPT), str(folder), url],  # noqa: S607 (it is looked up in PATH)
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    failures = re.findall(r"^FAILED (.*)$", done.stdout, re.MULTILINE)
    total = re.search(r"^\d+ of (\d+) checks$", done.stdout, re.MULTILINE)
    if total is None:
        return ShopResult(1, [f"the script ended early: {done.stderr.strip()[-500:]}"])
    return ShopResult(int(total[1]), failures)
