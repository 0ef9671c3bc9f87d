"""The import table of pyproject.toml, checked by import-linter."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    *("payflow", "support", "billing", "accounts", "conversations", "apikeys", "restapi"),
    *("sandbox", "testing", "devtools", "benchmarks", "e2e"),
}


def test_imports_follow_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_package_is_in_the_table() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == PACKAGES
