"""SQL on the database of the servers."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

import dj_database_url
import psycopg
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from devtools.pytest_postgres import is_postgres


def execute(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a statement with `%s` for each value; return its rows."""
    url = os.environ["DATABASE_URL"]
    if is_postgres(url):
        with psycopg.connect(url) as database:
            cursor = database.execute(sql, values)
            return cursor.fetchall() if cursor.description else []
    with sqlite3.connect(str(dj_database_url.parse(url)["NAME"])) as connection:
        return connection.execute(sql.replace("%s", "?"), values).fetchall()


def add_user(email: str, password: str) -> int:
    """The servers hash as in production, and not as quickly as the settings of the tests do."""
    hasher = PBKDF2PasswordHasher()
    rows = execute(
        "INSERT INTO users (email, password) VALUES (%s, %s) RETURNING id",
        email,
        hasher.encode(password, hasher.salt()),
    )
    return int(rows[0][0])
