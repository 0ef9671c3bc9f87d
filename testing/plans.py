"""How PostgreSQL would read a table, whatever it estimates."""

from __future__ import annotations

from django.db import connection


def plan(sql: str) -> str:
    """The plan of a query that reads by an index where it can. Use it in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(row[0] for row in cursor.fetchall())


def plan_with_only(index: str, sql: str) -> str:
    """The plan if the index's table had no other one.

    In a small table PostgreSQL may take any index: which one depends on when it was analyzed last.
    Needs a superuser, and a transaction, which brings the others back if the query fails.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = indexrelid = %(index)s::regclass WHERE indrelid ="
            " (SELECT indrelid FROM pg_index WHERE indexrelid = %(index)s::regclass)",
            {"index": index},
        )
        found = plan(sql)
        cursor.execute(
            "UPDATE pg_index SET indisvalid = true WHERE indrelid ="
            " (SELECT indrelid FROM pg_index WHERE indexrelid = %s::regclass)",
            [index],
        )
    return found
