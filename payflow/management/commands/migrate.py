"""`manage.py migrate`, one at a time: several nodes may start a new version at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

# Any constant that no other program uses on this database.
LOCK = 4_720_816_033_512


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        database: Any = connections[options["database"]]
        database.has_time_limit = False
        try:
            with one_at_a_time(options["database"]):
                super().handle(*args, **options)
        finally:
            database.has_time_limit = True


@contextmanager
def one_at_a_time(alias: str) -> Iterator[None]:
    """Hold PostgreSQL's advisory lock, on a connection of its own.

    The lock is a transaction's, so that it works through a pooler, and migrations can't end it:
    they commit on another connection. SQLite has one writer anyway.
    """
    database: Any = connections[alias].copy()
    database.has_time_limit = False
    if database.vendor != "postgresql":
        yield
        return
    try:
        with database.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SET LOCAL lock_timeout = 0")  # another node may take minutes
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            yield
    finally:
        database.close()
