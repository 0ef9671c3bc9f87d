"""`manage.py migrate` runs one at a time."""

from __future__ import annotations

import threading
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.fixtures import Settings

from devtools.pytest_postgres import database_url
from payflow import db
from payflow.management.commands.migrate import LOCK

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def waiting() -> bool:
    with psycopg.connect(database_url()) as other:
        row = other.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ).fetchone()
    return row is not None and row[0] == 1


def test_a_second_migrate_waits_for_the_first() -> None:
    out = StringIO()

    def migrate() -> None:
        call_command("migrate", stdout=out)
        connection.close()

    with psycopg.connect(database_url()) as first:
        first.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        second = threading.Thread(target=migrate)
        second.start()
        while not waiting():
            assert second.is_alive()
        assert out.getvalue() == ""
    second.join()
    assert "No migrations to apply." in out.getvalue()


def test_it_waits_for_longer_than_the_role_s_lock_timeout(settings: Settings) -> None:
    usual = settings.DATABASE_LOCK_TIMEOUT
    settings.DATABASE_LOCK_TIMEOUT = 100
    db.limit_lock_waits()  # as the first migrate does at its end
    try:
        with psycopg.connect(database_url()) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            row = other.execute("SHOW lock_timeout").fetchone()
            assert row == ("100ms",)
            threading.Timer(0.5, other.rollback).start()
            call_command("migrate", stdout=StringIO())
    finally:
        settings.DATABASE_LOCK_TIMEOUT = usual
        db.limit_lock_waits()
        connection.close()
