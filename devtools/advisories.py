"""`make advisories`: known faults of what production installs, where a source can be reached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "prod.txt"
SOURCES = ("pypi", "osv")
# What pip-audit prints when a source can't be reached, or is a mirror without advisories.
UNREACHABLE = ("ConnectionError", "Timeout", "ServiceError", "JSONDecodeError", "not be audited")
TIMEOUT = 120


def main() -> int:
    """Exit status 1 if there is an advisory; 0 without one, and where no source answers."""
    for source in SOURCES:
        status, output = audit(source)
        if not any(text in output for text in UNREACHABLE):
            print(output)
            return status
    print(f"skipped: no source of advisories answers ({', '.join(SOURCES)})")
    return 0


def audit(source: str) -> tuple[int, str]:
    """pip-audit's exit status, and what it printed."""
    command = (sys.executable, "-m", "pip_audit", "--requirement", str(LOCK))
    options = ("--require-hashes", "--disable-pip", "--vulnerability-service", source)
    try:
        done = subprocess.run(
            (*command, *options, "--progress-spinner", "off"),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 2, "Timeout"
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    raise SystemExit(main())
