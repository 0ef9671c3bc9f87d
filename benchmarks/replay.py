"""Measures the peak memory of replaying a long event log, which must not grow with its length.

    .venv/bin/python -m benchmarks.replay [--events 1000000] [--handled 20000]

A private PostgreSQL is filled with settled events of a type that is not handled, some 300 bytes
each (a real one has 3 kB: iteration reads no payloads, and handling reads one at a time).
`replay_events --force` counts them (`--dry-run`), iterates over them, and handles the last of them.
The kernel reports each process's peak memory; its time includes its start. Exit status 1 if one
needs more than 1.2 times what it needs for 1,000 events.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from devtools.management import manage
from devtools.postgres import Cluster
from devtools.service import ROOT
from devtools.settings_for_tests import SETTINGS

FEW = 1_000
MAX_GROWTH = 1.2

FILL = """
INSERT INTO stripe_events (event_id, type, payload, status, attempts, object_id, settled_at)
SELECT 'evt_' || n, 'customer.updated', jsonb_build_object(
        'id', 'evt_' || n, 'object', 'event', 'type', 'customer.updated', 'livemode', false,
        'created', 1700000000 + n, 'data', jsonb_build_object('object', jsonb_build_object(
            'id', 'cus_' || n, 'object', 'customer', 'email', n || '@example.com',
            'metadata', '{}'::jsonb, 'description', repeat('x', 80)))),
    'ignored', 1, 'cus_' || n, now()
FROM generate_series(1, %s) AS n
"""
ITERATE = """
import django
django.setup()
from billing import models
from billing.events import replay
count = sum(1 for _ in replay.iter_by_pk(models.StripeEvent.objects.all(), after={after}))
print(f"{{count:,}} events were read")
"""


@dataclass(frozen=True)
class Figure:
    """What one process did with its events, and its peak memory."""

    what: str
    events: int
    seconds: float
    peak: float
    """MiB"""

    def __str__(self) -> str:
        rate = f"{self.events / self.seconds:,.0f}"
        return f"{self.what:8}{self.events:>10,} events{self.peak:8.1f} MiB{rate:>9} a second"


def fill(cluster: Cluster, events: int) -> None:
    began = time.monotonic()
    with psycopg.connect(cluster.url(), autocommit=True) as database:
        database.execute(FILL, [events])
        database.execute("VACUUM ANALYZE stripe_events")
    print(f"{events:,} events loaded in {time.monotonic() - began:.0f} s", flush=True)


def measure(
    what: str, events: int, command: Sequence[str], environment: Mapping[str, str]
) -> Figure:
    """Run a process that prints the number of its events at the end."""
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not said.startswith(f"{events:,} events"):
        raise SystemExit(f"{what} {events:,} events: status {process.returncode}, said {said!r}")
    # In KiB on Linux, in bytes on macOS.
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    figure = Figure(what, events, time.monotonic() - began, usage.ru_maxrss / unit)
    print(figure, flush=True)
    return figure


def is_flat(few: Figure, *more: Figure) -> bool:
    growth = max(figure.peak for figure in more) / few.peak
    verdict = "ok" if growth <= MAX_GROWTH else "TOO MUCH"
    print(f"{few.what:8}at most {growth:.2f} times the memory (up to {MAX_GROWTH}): {verdict}")
    return growth <= MAX_GROWTH


def main() -> int:
    """Measure and print; 1 when memory grows with the number of events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--handled", type=int, default=20_000, help="some hundred a second")
    given = parser.parse_args()
    sizes = sorted({FEW, given.events // 10, given.events})
    with Cluster() as cluster:
        environment = {
            **os.environ,
            **SETTINGS,
            "DATABASE_URL": cluster.url(),
            "DJANGO_SETTINGS_MODULE": "payflow.settings",
        }
        manage(environment, "migrate", "--verbosity=0")
        fill(cluster, given.events)

        def replay(what: str, events: int, *options: str) -> Figure:
            command = ["manage.py", "replay_events", "--force", f"--after={given.events - events}"]
            return measure(what, events, [*command, *options], environment)

        def iterate(events: int) -> Figure:
            command = ["-c", ITERATE.format(after=given.events - events)]
            return measure("read", events, command, environment)

        flat = [
            is_flat(*(replay("counted", size, "--dry-run") for size in sizes)),
            is_flat(*(iterate(size) for size in sizes)),
            is_flat(*(replay("handled", size) for size in (FEW, given.handled))),
        ]
    return 0 if all(flat) else 1


if __name__ == "__main__":
    sys.exit(main())
