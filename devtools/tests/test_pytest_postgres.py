"""The pytest plugin with PostgreSQL, without it and on SQLite, by running pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = """
import pytest

@pytest.mark.postgres
def test_of_postgres(): pass

@pytest.mark.sqlite
def test_of_sqlite(): pass

def test_of_both(): pass
"""

NO_POSTGRES = """
from devtools import postgres
postgres._program_directories = lambda: iter([])
"""


def run_pytest(directory: Path, *arguments: str, ci: str = "") -> str:
    (directory / "test_it.py").write_text(TESTS)
    (directory / "no_postgres.py").write_text(NO_POSTGRES)
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    python_path = os.pathsep.join([str(directory), environment.get("PYTHONPATH", "")])
    environment |= {"CI": ci, "PYTHONPATH": python_path}
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pytest.ini")]
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments, str(directory)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout + run.stderr


@pytest.mark.postgres
def test_a_run_starts_a_postgres_and_names_it(tmp_path: Path) -> None:
    output = run_pytest(tmp_path)
    assert "database: PostgreSQL" in output
    assert "2 passed, 1 deselected" in output


def test_a_run_on_sqlite_deselects_tests_of_postgres(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, "--database=sqlite")
    assert "database: SQLite" in output
    assert "2 passed, 1 deselected" in output


def test_without_postgres_its_tests_are_skipped_by_name(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, "-p", "no_postgres")
    assert "tests marked postgres cannot run: no PostgreSQL" in output
    assert "no PostgreSQL 14 or newer runs here" in output
    assert "2 passed, 1 skipped" in output


def test_without_postgres_its_tests_fail_in_ci(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, "-p", "no_postgres", ci="true")
    assert "2 passed, 1 error" in output
