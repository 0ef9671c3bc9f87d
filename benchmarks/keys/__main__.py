"""`make bench-keys`: the time of an authenticated request relative to an unauthenticated one.

Two databases, of a thousand and of a million keys, on a private PostgreSQL that is as durable as
in production. All cases are measured in turn, round after round, so that what else this machine
does falls on each of them alike. Ratios are medians over the rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apikeys.cache.store import MAX_ENTRIES
from benchmarks.keys import over_http as http
from benchmarks.keys import rows
from devtools.ports import free_port
from devtools.postgres import Cluster
from devtools.service import ROOT, Service
from devtools.settings_for_tests import SETTINGS

PEERS = (
    "django-rest-knox==5.1.0",
    "djangorestframework-api-key==3.1.0",
    "drf-simple-apikey==2.4.1",
)
MANY, FEW = 1_000_000, 1_000
# Of PostgreSQL for its tables, which fit with it (3 GB): what is compared are keys, not disks.
MEMORY = "4GB"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "100"))
REQUESTS = 20  # short rounds: noise of the machine lasts longer
MAX_GROWTH = 1.1  # of a request, from few keys to many
HTTP_ROUNDS, HTTP_SECONDS = 3, 1.5
HTTP_KEYS = 20_000  # not requested yet: more than a turn can request


@dataclass(frozen=True)
class Case:
    """What is measured, the view that it is compared with, and the number of keys."""

    name: str
    path: str
    kind: str
    base: str = "/api/open"
    hot: bool = False
    unnoted: bool = False
    patient: bool = True
    target: float | None = None


BASES = {"/api/open": "a DRF view, no check", "/api/plain": "a plain view, no check"}
CASES = (
    Case("payflow, cache miss", "/api/payflow", "payflow", target=3.2),
    Case("payflow, miss that notes the use", "/api/payflow", "payflow", unnoted=True),
    Case("payflow, hit", "/api/payflow", "payflow", hot=True, target=1.3),
    Case("djangorestframework-api-key", "/api/drf-api-key", "drf-api-key"),
    Case("DRF TokenAuthentication", "/api/token", "token"),
    Case("drf-simple-apikey, without its sleep", "/api/simple", "simple", patient=False),
    Case("knox", "/api/knox", "knox"),
    Case("verify, cache miss", "/api/verify", "payflow", "/api/plain", target=2.5),
    Case("verify, hit", "/api/verify", "payflow", "/api/plain", hot=True, target=1.2),
)
HTTP_CASES = {
    "payflow, hit": ("/api/payflow", "payflow", 64),
    "payflow, miss": ("/api/payflow", "payflow", MANY),
    "payflow, miss that notes the use": ("/api/payflow", "payflow", MANY),
    "verify, hit": ("/api/verify", "payflow", 64),
    "verify, miss": ("/api/verify", "payflow", MANY),
    "djangorestframework-api-key": ("/api/drf-api-key", "drf-api-key", MANY),
    "DRF TokenAuthentication": ("/api/token", "token", MANY),
    "knox": ("/api/knox", "knox", MANY),
}
PEER_CASES = ("djangorestframework-api-key", "DRF TokenAuthentication", "knox")


class Worker:
    """A process of the benchmark's environment on one of the databases."""

    def __init__(self, python: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [python, "-m", "benchmarks.keys.worker"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, task: str, **options: Any) -> Any:
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps({"task": task, **options}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("the worker has ended; see above")
        return json.loads(answer)

    def stop(self) -> None:
        self._process.communicate()


def main() -> int:
    """Measure and print; 1 when a target is missed."""
    began = time.monotonic()
    python = environment_with_peers()
    with Cluster(durable=True, memory=MEMORY) as cluster, ExitStack() as stack:
        environments = {
            count: environment_for(cluster.create_database(f"keys_{count}"))
            for count in (MANY, FEW)
        }
        workers = {count: Worker(python, env) for count, env in environments.items()}
        for worker in workers.values():
            stack.callback(worker.stop)
        say(
            f"PostgreSQL {cluster.version}, durable, shared_buffers {MEMORY};"
            f" Python {sys.version.split()[0]}"
        )
        for count, worker in workers.items():
            say(f"{count:,} keys of each kind loaded in {worker.ask('load', count=count):.0f} s")
        reached = report(measured(workers), workers)
        serve_all(python, environments[MANY], workers[MANY])
    say(f"\n{time.monotonic() - began:.0f} s in all")
    return 0 if reached else 1


def environment_with_peers() -> Path:
    """A scratch environment: the project's packages, and the peers beside them."""
    place = ROOT / ".run" / "bench-keys"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        (own,) = place.glob("lib/*/site-packages")
        (ours,) = (ROOT / ".venv").glob("lib/*/site-packages")
        (own / "ours.pth").write_text(f"{ours}\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PEERS], check=True)  # noqa: S603
    return python


def environment_for(database: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **inherited,
        **SETTINGS,
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "benchmarks.keys.settings",
        "PYTHONPATH": str(ROOT),
        "LOG_LEVEL": "ERROR",
    }


# Of a case on one database: its microseconds, and those of the view without a check just before.
Times = dict[tuple[int, str], list[tuple[float, float]]]


def measured(workers: Mapping[int, Worker]) -> Times:
    """Every case on both databases, one pair of figures a round."""
    times: Times = {(count, case.name): [] for count in workers for case in CASES}
    for round_ in range(ROUNDS + 1):
        for case in CASES:
            for count, worker in workers.items():
                base = worker.ask("measure", **_drawn(Case("", case.base, ""), count))
                taken = worker.ask("measure", **_drawn(case, count))
                if round_:  # the first one warms up
                    times[count, case.name].append((taken, base))
    return times


def _drawn(case: Case, count: int) -> dict[str, Any]:
    """A hit draws from few keys, a miss from all."""
    return {
        "path": case.path,
        "kind": case.kind,
        "count": REQUESTS,
        "last": 20 if case.hot else count,
        "noted": not case.unnoted,
        "forget": case.kind == "payflow" and not case.hot,
        "patient": case.patient,
    }


def report(times: Times, workers: Mapping[int, Worker]) -> bool:
    """Print all figures; whether every target is reached."""
    say("\nIn process, full stack, relative to the same view without a check")
    say(f"{'':38}{'1,000,000 keys':>16}{'1,000 keys':>16}{'target':>9}{'many/few':>10}")
    reached, bases = True, dict(BASES)
    for case in CASES:
        if case.base in bases:
            view, alone = bases.pop(case.base), [base for _, base in times[MANY, case.name]]
            say(f"{view:38}{statistics.median(alone):13.0f} µs")
        many, few = (ratio(times[count, case.name]) for count in workers)
        growth = many / few
        verdict = ""
        if case.target:
            met = max(many, few) <= case.target and growth <= MAX_GROWTH
            verdict = "ok" if met else "MISSED"
            reached = reached and met
        target = f"{case.target:9}" if case.target else " " * 9
        say(f"{case.name:38}{many:16.2f}{few:16.2f}{target}{growth:10.2f}  {verdict}")
    weight = workers[MANY].ask("weigh", entries=MAX_ENTRIES)
    say(
        f"\nA full cache, {MAX_ENTRIES:,} keys with the longest names: {weight / 2**20:.1f} MiB"
        f" ({weight / MAX_ENTRIES:.0f} bytes each); twice as many were put in"
    )
    return reached


def ratio(pairs: list[tuple[float, float]]) -> float:
    """The median over the rounds, of figures measured one after the other."""
    return statistics.median(taken / base for taken, base in pairs)


def serve_all(python: Path, environment: Mapping[str, str], worker: Worker) -> None:
    """Requests a second of two workers with four threads each."""
    port = free_port()
    serve = [str(python), "manage.py", "serve"]
    options = [f"--bind=127.0.0.1:{port}", "--workers=2", "--threads=4"]
    rates: dict[str, list[float]] = {name: [] for name in HTTP_CASES}
    fresh = iter(range(1000, MANY, HTTP_KEYS))
    with Service("app", [*serve, *options], {**environment, "LOG_LEVEL": "ERROR"}) as service:
        service.wait_for(f"http://127.0.0.1:{port}/api/plain")
        for _ in range(HTTP_ROUNDS + 1):
            for name, (path, kind, keys) in HTTP_CASES.items():
                first = 1 if keys < MANY else next(fresh)
                numbers = range(first, first + min(keys, HTTP_KEYS))
                if kind == "payflow":
                    worker.ask("use", first=first, last=numbers[-1], noted="notes" not in name)
                headers = [rows.header(kind, number) for number in numbers]
                rates[name].append(http.rate(port, path, headers, HTTP_SECONDS))
    middles = {name: statistics.median(rate[1:]) for name, rate in rates.items()}
    best = max(middles[name] for name in PEER_CASES)
    say("\nOver HTTP, 2 workers of 4 threads, 8 connections; best peer = 1.00")
    for name, rate in middles.items():
        say(f"{name:38}{rate:9.0f} requests/s{rate / best:8.2f}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
