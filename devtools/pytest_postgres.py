"""Gives a test run its database: a private PostgreSQL, or SQLite with ``--database=sqlite``.

Loaded by ``-p`` in pytest.ini, because pytest-django reads the settings while pytest is still
starting. Every variable that the settings read is set here, so that neither a shell nor an
``.env`` file changes a test's result.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from devtools.postgres import Cluster, ClusterError, PostgresNotFoundError
from devtools.settings_for_tests import SETTINGS

POSTGRES_SCHEMES = {"postgres", "postgresql"}

# Passed to xdist's worker processes beside DATABASE_URL.
LOG_VARIABLE = "PAYFLOW_TEST_POSTGRES_LOG"
MISSING_VARIABLE = "PAYFLOW_TEST_POSTGRES_MISSING"


def noop() -> None:
    """Clean up nothing: the database is not ours."""


@dataclass(frozen=True)
class RunDatabase:
    """The database of this test run; ``missing`` says why it is not PostgreSQL."""

    url: str
    name: str
    log: Path | None = None
    missing: str = ""
    cleanup: Callable[[], None] = noop

    @property
    def is_postgres(self) -> bool:
        return is_postgres(self.url)

    @property
    def is_foreign(self) -> bool:
        """Whether the caller named the server: it may hold other databases."""
        return self.is_postgres and self.log is None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.url,
            LOG_VARIABLE: str(self.log or ""),
            MISSING_VARIABLE: self.missing,
        }


DATABASE = pytest.StashKey[RunDatabase]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("payflow").addoption(
        "--database",
        choices=("postgres", "sqlite"),
        default="postgres",
        help="run on a private PostgreSQL (the default) or on SQLite",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    options = early_config.known_args_namespace
    if "PYTEST_XDIST_WORKER" in os.environ:
        database = _of_the_controller()
    elif options.help or options.version or options.database == "sqlite":
        database = _sqlite()
    else:
        database = _postgres(os.environ.get("DATABASE_URL", ""))
    early_config.stash[DATABASE] = database
    os.environ.update(SETTINGS)
    os.environ.update(database.environment)


def pytest_configure(config: pytest.Config) -> None:
    database = config.stash[DATABASE]
    if not database.is_postgres:
        # A file, as in production: SQLite locks differently in memory.
        path = urlsplit(database.url).path
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = path.removeprefix("/")


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[DATABASE].cleanup()


def pytest_report_header(config: pytest.Config) -> list[str]:
    database = config.stash[DATABASE]
    lines = [f"database: {database.name}"]
    if database.missing:
        lines.append(f"tests marked postgres cannot run: {database.missing}")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests of the other database; report a missing one for each test."""
    database = config.stash[DATABASE]
    if database.missing:
        return
    other = "sqlite" if database.is_postgres else "postgres"
    unwanted = [item for item in items if item.get_closest_marker(other)]
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = [item for item in items if not item.get_closest_marker(other)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = item.config.stash[DATABASE].missing
    if missing and item.get_closest_marker("postgres"):
        if os.environ.get("CI"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)


@pytest.fixture
def deadlocks(pytestconfig: pytest.Config) -> Callable[[], list[str]]:
    """Return a function that lists the deadlocks in this test's database since the test began."""
    log = pytestconfig.stash[DATABASE].log
    if log is None:
        pytest.skip("only the private PostgreSQL has a log to read")
    began = log.stat().st_size
    return lambda: _deadlocks(log, began)


def _deadlocks(log: Path, began: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(began)
        lines = file.read().decode(errors="replace").splitlines()
    here = f" {connection.settings_dict['NAME']} "
    return [line for line in lines if here in line and "deadlock detected" in line]


def is_postgres(url: str) -> bool:
    return urlsplit(url).scheme in POSTGRES_SCHEMES


def _of_the_controller() -> RunDatabase:
    log = os.environ[LOG_VARIABLE]
    return RunDatabase(
        url=os.environ["DATABASE_URL"],
        name="the controller's",
        log=Path(log) if log else None,
        missing=os.environ[MISSING_VARIABLE],
    )


def _postgres(url: str) -> RunDatabase:
    """The server that DATABASE_URL names, else a private one, else SQLite."""
    try:
        return _named_postgres(url) if is_postgres(url) else _private_postgres()
    except PostgresNotFoundError as error:
        return _sqlite(missing=str(error))
    except (ClusterError, psycopg.OperationalError) as error:
        raise pytest.UsageError(str(error)) from error


def database_url() -> str:
    """The URL of the tests' database, for a process that a test starts."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"


def _named_postgres(url: str) -> RunDatabase:
    with psycopg.connect(url) as server:
        version = server.info.parameter_status("server_version")
        name = f"PostgreSQL {version} at {server.info.host}, as DATABASE_URL says"
    return RunDatabase(url, name)


def _private_postgres() -> RunDatabase:
    cluster = Cluster()
    cluster.start()
    name = f"PostgreSQL {cluster.version}, private, on {cluster.socket}"
    return RunDatabase(cluster.url(), name, log=cluster.log, cleanup=cluster.stop)


def _sqlite(missing: str = "") -> RunDatabase:
    directory = tempfile.TemporaryDirectory(prefix="payflow-sqlite-")
    path = Path(directory.name) / "test.sqlite3"
    return RunDatabase(
        url=f"sqlite:///{path}",
        name=f"SQLite {sqlite3.sqlite_version}, {path}",
        missing=missing,
        cleanup=directory.cleanup,
    )
