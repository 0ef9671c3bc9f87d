"""The SQLite database that holds the state, in a file or temporary.

A temporary database spills to disk, so that ten thousand sessions need little memory. SQLite
deletes it when it is closed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = (Path(__file__).parent / "schema.sql").read_text()


class StateFileError(Exception):
    """The state file cannot be opened or is not an SQLite database."""


def open_database(path: Path | None) -> sqlite3.Connection:
    """Open the state, creating what is missing. Raises StateUnusable."""
    try:
        connection = sqlite3.connect(
            str(path) if path else "", isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA journal_mode={'WAL' if path else 'MEMORY'}")
        # Killing the process loses nothing; a power failure may.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-4096")
        connection.executescript(_SCHEMA)
    except sqlite3.Error as error:
        raise StateFileError(f"cannot use {path} as the state file: {error}") from error
    return connection


@contextmanager
def transaction(
    connection: sqlite3.Connection, *, keep_on: type[Exception] | None = None
) -> Iterator[None]:
    """Run a transaction. An exception rolls it back, unless it is of type `keep_on`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException as error:
        kept = keep_on is not None and isinstance(error, keep_on)
        connection.execute("COMMIT" if kept else "ROLLBACK")
        raise
    connection.execute("COMMIT")
