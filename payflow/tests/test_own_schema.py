"""docs/adopting.md: payflow in a schema of its own, beside another application's tables."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from devtools.management import manage
from devtools.pytest_postgres import database_url

NAME = "shared_with_payflow"

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),  # it migrates a database of its own
]


@pytest.fixture
def shared() -> Iterator[str]:
    """The URL of a database with another application's tables, for payflow's own role."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {NAME}")
        cursor.execute(f"CREATE ROLE {NAME} LOGIN PASSWORD 'p'")
    owner = f"{database_url().rpartition('/')[0]}/{NAME}"
    with psycopg.connect(owner, autocommit=True) as database:
        database.execute("CREATE TABLE users (id uuid PRIMARY KEY, name text)")
        database.execute("CREATE TABLE orders (id uuid PRIMARY KEY)")
        database.execute("INSERT INTO users VALUES (gen_random_uuid(), 'theirs')")
        database.execute(f"CREATE SCHEMA payflow AUTHORIZATION {NAME}".encode())
        database.execute(f"ALTER ROLE {NAME} IN DATABASE {NAME} SET search_path = payflow".encode())
    try:
        yield owner
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
            cursor.execute(f"DROP ROLE {NAME}")


def test_it_lives_in_a_schema_of_its_own_beside_tables_of_the_same_names(shared: str) -> None:
    scheme, _, rest = shared.partition("://")
    own = f"{scheme}://{NAME}:p@{rest.partition('@')[2]}"
    environment = {**os.environ, "DATABASE_URL": own}
    manage(environment, "migrate", "--verbosity=0")
    token = manage(environment, "issue_service_token", "shop").strip()
    assert token.startswith("svc_")
    with psycopg.connect(shared) as database:
        theirs = database.execute("SELECT name FROM public.users").fetchall()
        assert theirs == [("theirs",)]
        counted = database.execute("SELECT count(*) FROM payflow.service_tokens").fetchone()
        assert counted == (1,)
        strangers = database.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
        assert strangers == (2,)
