"""Compares an event log in one table with one that is partitioned by month.

    .venv/bin/python -m benchmarks.partitions [--events 3000000]

On a private PostgreSQL, with three years of events; partitions.sql has the statements. A unique
index of a partitioned table contains the month, so the ids that must be unique are in a table of
their own. Statements of the webhook run 20,000 times, planned once, in one transaction.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import psycopg

from devtools.postgres import Cluster

SQL = Path(__file__).with_suffix(".sql")
STATEMENTS = 20_000
# Run once, and not in a loop.
ONCE = ("remove a month", "vacuum after it")


def blocks() -> dict[str, str]:
    """The statements of partitions.sql by the comment above each."""
    parts = SQL.read_text().removeprefix("-- ").split("\n-- ")
    return {name: statement for name, _, statement in (part.partition("\n") for part in parts)}


def seconds(database: psycopg.Connection, statement: str) -> float:
    began = time.perf_counter()
    database.execute(statement.encode())
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=3_000_000)
    events = str(parser.parse_args().events)
    statements = blocks()
    with (
        Cluster(memory="2GB") as cluster,
        psycopg.connect(cluster.url(), autocommit=True) as database,
    ):
        database.execute(statements.pop("prepare").replace(":events", events).encode())
        database.execute("VACUUM ANALYZE")
        for name, statement in statements.items():
            if name.endswith(ONCE):
                print(f"{name:32}{seconds(database, statement):10.3f} s")
                continue
            loop = f"DO $$ BEGIN FOR n IN 1..{STATEMENTS} LOOP {statement}; END LOOP; END $$"
            taken = seconds(database, loop) / STATEMENTS
            print(f"{name:32}{taken * 1e6:10.1f} microseconds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
