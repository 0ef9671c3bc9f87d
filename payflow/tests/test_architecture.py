"""The import table of pyproject.toml, checked by import-linter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    *("payflow", "support", "billing", "accounts", "conversations", "apikeys", "restapi"),
    "notifications",
    *("sandbox", "testing", "devtools", "benchmarks", "e2e"),
}


def test_imports_follow_the_table() -> None:
    # In a process of its own: it disables every logger that exists.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    checked = subprocess.run(  # noqa: S603
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_every_package_is_in_the_table() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == PACKAGES
