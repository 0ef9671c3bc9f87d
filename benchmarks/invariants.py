"""Times `check_invariants` on a private PostgreSQL, and each of its rules.

    .venv/bin/python -m benchmarks.invariants [--orders 1000000]

Keys and links are as many as orders, events three times as many. Ends with status 1 if a rule is
broken, which only a fault of the data can cause.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import django
from django.core.management import call_command
from django.db import connection, transaction

from benchmarks.admin import load
from devtools.postgres import Cluster
from devtools.settings_for_tests import SETTINGS


def measure() -> float:
    """Print the seconds of each rule, the slowest first; return those of the command."""
    from billing import invariants  # noqa: PLC0415 - settings must be configured first

    began = time.perf_counter()
    call_command("check_invariants")
    total = time.perf_counter() - began
    times: dict[str, float] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")  # as the command does
        for rule, query in invariants.RULES.items():
            rule_began = time.perf_counter()
            cursor.execute(f"{query} ORDER BY 1 LIMIT {invariants.MAX_ROWS}")
            times[rule] = time.perf_counter() - rule_began
    for rule, seconds in sorted(times.items(), key=lambda each: -each[1]):
        print(f"{seconds:8.2f} s  {rule}")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--orders", type=int, default=1_000_000)
    options = parser.parse_args()
    with Cluster() as cluster:
        os.environ.update({**SETTINGS, "DATABASE_URL": cluster.url()})
        os.environ["DJANGO_SETTINGS_MODULE"] = "payflow.settings"
        django.setup()
        call_command("migrate", verbosity=0)
        load(options.orders)
        print(f"check_invariants: {measure():.1f} s", flush=True)
        connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
