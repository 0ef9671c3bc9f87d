"""Rows of every kind of key, generated in the database, and their secrets.

The secret of row n is a digest of its number, so that nothing needs to be carried along.
"""

from __future__ import annotations

import hashlib
import importlib
from datetime import timedelta

from django.db import connection
from django.utils import timezone

_DIGEST = "encode(sha256(('{kind}' || n)::bytea), 'hex')"

_LOAD = {
    "users": """
        INSERT INTO users (id, email, name)
        SELECT n, 'user' || n || '@example.com', 'A user' FROM numbers
    """,
    "grants": """
        INSERT INTO grants (id, user_id, tier) SELECT n, n, 'premium' FROM numbers
    """,
    "api_keys": """
        INSERT INTO api_keys
            (id, user_id, grant_id, key_hash, key_prefix, name, revealed_at)
        SELECT n, n, n, encode(sha256(('sk_' || {payflow})::bytea), 'hex'),
            left('sk_' || {payflow}, 20), 'A key', now() FROM numbers
    """,
    "authtoken_token": """
        INSERT INTO authtoken_token (key, user_id, created)
        SELECT left({token}, 40), n, now() FROM numbers
    """,
    "knox_authtoken": """
        INSERT INTO knox_authtoken (digest, token_key, user_id, created)
        SELECT encode(sha512({knox}::bytea), 'hex'), left({knox}, 15), n, now() FROM numbers
    """,
    "rest_framework_api_key_apikey": """
        INSERT INTO rest_framework_api_key_apikey
            (id, prefix, hashed_key, created, name, revoked)
        SELECT prefix || '.' || hashed, prefix, hashed, now(), 'A key', false FROM (
            SELECT lpad(to_hex(n), 8, '0') AS prefix, 'sha512$$' || encode(
                sha512((lpad(to_hex(n), 8, '0') || '.' || left({peer}, 32))::bytea), 'hex'
            ) AS hashed FROM numbers
        ) AS made
    """,
    "drf_simple_apikey_apikey": """
        INSERT INTO drf_simple_apikey_apikey (id, entity_id, expiry_date, revoked, created)
        SELECT n, n, now() + interval '1 year', false, now() FROM numbers
    """,
}


def load(rows: int) -> None:
    """Fill every table with rows numbered from 1."""
    kinds = {kind: _DIGEST.format(kind=kind) for kind in ("payflow", "token", "knox", "peer")}
    with connection.cursor() as cursor:
        # The rows are consistent by themselves: five million checks of foreign keys take minutes.
        cursor.execute("SET session_replication_role = replica")
        for table, statement in _LOAD.items():
            numbers = f"WITH numbers AS (SELECT generate_series(1, {rows:d}) AS n)"
            cursor.execute(numbers + statement.format(**kinds))
            cursor.execute(f"ANALYZE {table}")
        cursor.execute("RESET session_replication_role")
        cursor.execute("VACUUM")


def header(kind: str, number: int) -> str:
    """The `Authorization` header for row `number`."""
    if kind == "token":
        return f"Token {_secret('token', number)[:40]}"
    if kind == "knox":
        return f"Token {_secret('knox', number)}"
    if kind == "drf-api-key":
        return f"Api-Key {number:08x}.{_secret('peer', number)[:32]}"
    if kind == "simple":
        ends = (timezone.now() + timedelta(days=300)).timestamp()
        crypto = importlib.import_module("drf_simple_apikey.crypto").get_crypto()
        return f"Api-Key {crypto.generate({'_pk': number, '_exp': ends})}"
    return f"Bearer sk_{_secret('payflow', number)}"


def _secret(kind: str, number: int) -> str:
    return hashlib.sha256(f"{kind}{number}".encode()).hexdigest()
