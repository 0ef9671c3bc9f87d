"""Persistent connections: reused while the server lives, replaced when it has gone."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from devtools.pytest_postgres import database_url
from payflow import db

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="of PostgreSQL's connections"),
]


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def kill(pid: int) -> None:
    """End a server process and wait until it is gone."""
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_the_next_request_uses_the_same_connection(client: Client) -> None:
    first = backend()
    assert client.get("/readyz").status_code == 200
    assert backend() == first


def test_a_request_succeeds_after_its_server_process_has_ended(client: Client) -> None:
    for _ in range(3):
        gone = backend()
        kill(gone)
        assert client.get("/readyz").status_code == 200
        assert backend() != gone


def test_a_closed_connection_is_replaced(client: Client) -> None:
    gone = backend()
    connection.connection.close()
    assert client.get("/readyz").status_code == 200
    assert backend() != gone


def test_a_notification_on_the_connection_only_costs_a_new_one(client: Client) -> None:
    told = backend()
    with connection.cursor() as cursor:
        cursor.execute("LISTEN something")
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        other.execute("NOTIFY something")
    assert client.get("/readyz").status_code == 200
    assert backend() != told


def test_a_connection_in_a_transaction_is_not_closed() -> None:
    with transaction.atomic():
        first = backend()
        kill(first)
        db.close_stale_connections()
        assert connection.connection is not None
        transaction.set_rollback(True)
    db.close_stale_connections()
    assert backend() != first


ASGI = """
import asyncio
from asgiref.testing import ApplicationCommunicator
from payflow.asgi import application
from django.db import connections

async def get(path):
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    scope["headers"].append((b"host", b"localhost"))
    asked = ApplicationCommunicator(application, scope)
    await asked.send_input({"type": "http.request", "body": b""})
    status = (await asked.receive_output(10))["status"]
    await asked.receive_output(10)
    await asked.wait(10)
    return status

async def main():
    print([await get("/readyz") for _ in range(3)])
    print(sorted(await asyncio.gather(*(get("/readyz") for _ in range(12)))))

asyncio.run(main())
print(connections["default"].pool.get_stats()["connections_num"] <= 5)
"""


def test_under_asgi_connections_come_from_a_pool() -> None:
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", ASGI],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DATABASE_URL": database_url()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [str([200] * 3), str([200] * 12), "True"], done.stderr
