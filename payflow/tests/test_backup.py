"""The drill of docs/operations.md: a dump is restored, and what was restored is right."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from apikeys import tokens
from conversations.models import Conversation
from devtools.management import manage
from devtools.postgres import find_installation
from devtools.pytest_postgres import database_url
from testing import stripe_events as stripe
from testing.keys import paid_key, revealed_key

TABLES = ("users", "conversations", "orders", "grants", "api_keys", "stripe_events")
RESTORED = "restored_by_the_drill"

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def test_a_restored_dump_passes_check_invariants_and_keeps_every_row(
    conversation: Conversation, tmp_path: Path
) -> None:
    paid_key(conversation)
    stripe.deliver(stripe.completed(conversation))  # a duplicate
    intent = str(conversation.orders.filter(is_duplicate=True).get().stripe_payment_intent_id)
    stripe.deliver(stripe.event("refund.created", stripe.refund(intent)))
    _, secret = revealed_key(conversation.user)

    dump = tmp_path / "payflow.dump"
    run("pg_dump", "--format=custom", f"--file={dump}", database_url())
    assert secret.encode() not in dump.read_bytes()
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {RESTORED}")
    restored = f"{database_url().rpartition('/')[0]}/{RESTORED}"
    try:
        run("pg_restore", "--exit-on-error", f"--dbname={restored}", str(dump))
        environment = {**os.environ, "DATABASE_URL": restored}
        assert manage(environment, "check_invariants").endswith("rules hold.\n")
        manage(environment, "migrate", "--check")
        assert rows(restored) == rows(database_url())
        with psycopg.connect(restored) as database:
            found = database.execute(
                "SELECT count(*) FROM api_keys WHERE key_hash = %s", [tokens.digest(secret)]
            ).fetchone()
        assert found == (1,)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {RESTORED} WITH (FORCE)")


def run(program: str, *arguments: str) -> None:
    """One of PostgreSQL's programs, of the version that the tests run on."""
    found = find_installation().directory / program
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [found, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    with psycopg.connect(url) as database:
        return {
            table: database.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()  # noqa: S608
            for table in TABLES
        }
