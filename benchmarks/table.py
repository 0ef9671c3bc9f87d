"""`make bench`: one table of what the cluster answers, beside its limits and its peers.

Starts the topology of `make cluster`, and the peers on a private PostgreSQL. Every row is measured
by wrk (pgbench's by itself) in turn, round after round; medians are printed, and written to
`benchmarks/results/` with the machine and the versions. "One node" is asked directly, "two nodes"
behind nginx. Each node has 2 processes with 4 threads; so have the peers.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import jwt
import psycopg
import stripe

from apikeys import tokens
from benchmarks import webhook
from benchmarks.keys import __main__ as key_peers
from benchmarks.keys import rows as key_rows
from devtools import debian
from devtools.cluster.__main__ import up
from devtools.cluster.configuration import postgresql_programs
from devtools.cluster.layout import cluster_port
from devtools.cluster.topology import Cluster as Topology
from devtools.cluster.topology import remove
from devtools.ports import LOOPBACK, free_port
from devtools.postgres import Cluster, find_installation
from devtools.service import ROOT, Service

RESULTS = Path(__file__).with_name("results")
CONNECTIONS = 16
# As many as one process lets wait for Stripe at the same time: all may reach the same one.
WAIT_FOR_STRIPE = 2
SECONDS = int(os.environ.get("BENCH_SECONDS") or 4)
ROUNDS = int(os.environ.get("BENCH_ROUNDS") or 3)
KEYS, LISTED = 50, 20
# Each payment and each link has a conversation of its own: as many as all turns take, on one node
# and on two, and pgbench in its turns.
TURNS, EACH = ROUNDS + 1, SECONDS * webhook.MAX_RATE + 1
PAYMENTS, LINKS, BY_PGBENCH = 2 * TURNS * EACH, 2 * TURNS * EACH, TURNS * EACH
DJSTRIPE = ROOT / ".run" / "bench-djstripe" / "bin" / "python"

SCRIPT = """
local lines, n = {}, 0
for line in io.lines("%s") do lines[#lines + 1] = line end
request = function()
    n = n %% #lines + 1
    local pattern = "^(%%S+) (%%S+) (%%S+) ([^\\t]*)\\t(.*)$"
    local method, path, header, value, body = lines[n]:match(pattern)
    return wrk.format(method, path, { Host = "localhost", [header] = value,
        ["Content-Type"] = "application/json" }, body)
end
done = function(summary, latency)
    io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), summary.errors.status))
end
"""


@dataclass(frozen=True)
class Request:
    """One request; `header` is its only one beside Host and Content-Type."""

    method: str
    path: str
    header: str
    value: str
    body: str = ""

    @property
    def line(self) -> str:
        return f"{self.method} {self.path} {self.header} {self.value}\t{self.body}"


@dataclass(frozen=True)
class Figure:
    rate: float
    """Requests a second."""
    p50: float | None = None
    """Milliseconds."""
    p99: float | None = None


Measure = Callable[[], Figure]


class Wrk:
    """Sends the requests of an iterator, each once if it does not end."""

    def __init__(
        self,
        port: int,
        requests: Iterator[Request],
        *,
        each_once: bool = False,
        connections: int = CONNECTIONS,
    ) -> None:
        self._port = port
        self._connections = connections
        self._requests = requests
        self._each_once = each_once
        self._kept: list[Request] = []

    def __call__(self) -> Figure:
        with tempfile.TemporaryDirectory() as directory:
            lines, script = Path(directory) / "requests", Path(directory) / "wrk.lua"
            lines.touch(mode=0o600)
            lines.write_text("\n".join(each.line for each in self._next()))
            script.write_text(SCRIPT % lines)
            command = ["wrk", "-t1", f"-c{self._connections}", f"-d{SECONDS}s", "-s", str(script)]
            url = f"http://{LOOPBACK}:{self._port}"
            done = subprocess.run(  # noqa: S603
                [*command, url], capture_output=True, text=True, check=True
            )
        found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
        if found is None or int(found[5]):
            raise SystemExit(f"port {self._port} refused requests: {done.stdout}")
        count, microseconds, p50, p99, _ = map(int, found.groups())
        return Figure(count / microseconds * 1e6, p50 / 1000, p99 / 1000)

    def _next(self) -> list[Request]:
        if self._each_once:
            return list(islice(self._requests, EACH))
        self._kept = self._kept or list(self._requests)
        return self._kept


def main() -> int:
    if missing := debian.provide({"wrk": "wrk"}):
        raise SystemExit(f"{missing[0]} is not installed. On Debian: apt-get install wrk")
    os.environ.setdefault("API_KEY_REQUESTS_PER_MINUTE", "0")
    os.environ.setdefault("LINKS_PER_MINUTE", "0")
    load = os.getloadavg()[0]
    port = cluster_port()
    topology = up(port)
    try:
        with ExitStack() as stack:
            cases = {**of_payflow(topology), **limits(topology, stack), **peers(stack)}
            figures = take_turns(cases)
    finally:
        remove(port)
    write("\n".join([*machine(load), "", *table(figures), ""]))
    return 0


def take_turns(cases: dict[str, Measure]) -> dict[str, list[Figure]]:
    """Measure in turns, so that noise of the machine spreads over all; the first one warms up."""
    figures: dict[str, list[Figure]] = {name: [] for name in cases}
    for round_ in range(ROUNDS + 1):
        for name, measure in cases.items():
            figure = measure()
            if round_:
                figures[name].append(figure)
    return figures


def of_payflow(topology: Topology) -> dict[str, Measure]:
    layout = topology.layout
    secrets = [tokens.generate() for _ in range(KEYS)]
    fill(layout.database_url("primary"), secrets)
    owner = f"Bearer {signed_token(layout.jwt_secret)}"
    first = PAYMENTS + BY_PGBENCH + 1  # of the conversations that have no link yet
    paid, linked = iter(range(1, PAYMENTS + 1)), iter(range(first, first + LINKS))

    def get(path: str) -> Iterator[Request]:
        return (Request("GET", path, "Authorization", f"Bearer {key}") for key in secrets)

    def payments() -> Iterator[Request]:
        for number in paid:
            body = json.dumps(webhook.example(number, "ours"))
            head = stripe.WebhookSignature.generate_signature_header(body, layout.webhook_secret)
            yield Request("POST", "/api/webhooks/stripe", "Stripe-Signature", head, body)

    def links() -> Iterator[Request]:
        for number in linked:
            body = json.dumps({"conversationId": number})
            yield Request("POST", "/api/payments/link", "Authorization", owner, body)

    cases: dict[str, Measure] = {}
    for where, port in (("one node", layout.ports["web1"]), ("two nodes", layout.port)):
        cases[f"key check, {where}"] = Wrk(port, get("/api/api-keys/verify"))
        cases[f"list of {LISTED} conversations, {where}"] = Wrk(port, get("/api/conversations"))
        cases[f"webhook, a payment each, {where}"] = Wrk(port, payments(), each_once=True)
        cases[f"link, {where}"] = Wrk(port, links(), each_once=True, connections=WAIT_FOR_STRIPE)
    cases["key check at the edge, two nodes"] = Wrk(layout.ports["edge"], get("/"))
    return cases


def fill(url: str, secrets: list[str]) -> None:
    """One user with keys and conversations; links of the sessions that will be paid."""
    with psycopg.connect(url) as database:
        database.execute("INSERT INTO users (email) VALUES ('bench@example.com')")
        database.execute("INSERT INTO grants (user_id, updated_at) VALUES (1, now())")
        for secret in secrets:
            columns = tokens.stored_columns(secret)
            database.execute(
                "INSERT INTO api_keys (user_id, grant_id, name, key_hash, key_prefix, revealed_at)"
                " VALUES (1, 1, 'bench', %s, %s, now())",
                [columns["key_hash"], columns["key_prefix"]],
            )
        database.execute(
            "INSERT INTO conversations (user_id, title)"
            " SELECT 1, 'bench' FROM generate_series(1, %s)",
            [PAYMENTS + BY_PGBENCH + LINKS],
        )
        database.execute(
            "INSERT INTO checkout_links (link_id, stripe_session_id, user_id, conversation_id,"
            " tier, stripe_price_id, amount_cents)"
            " SELECT 'ours' || n, 'cs_ours_' || n, 1, n, 'premium', 'price_sandbox_premium', 2000"
            " FROM generate_series(1, %s) n",
            [PAYMENTS + BY_PGBENCH],
        )


def signed_token(secret: str) -> str:
    claims = {"sub": "1", "exp": datetime.now(UTC) + timedelta(hours=6)}
    return jwt.encode(claims, secret, algorithm="HS256")


def limits(topology: Topology, stack: ExitStack) -> dict[str, Measure]:
    """What PostgreSQL and the server can do at most."""
    layout = topology.layout
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface=wsgi", "--http=1", "--no-access-log"]
    command += [f"--host={LOOPBACK}", f"--port={port}", "--workers=2", "--blocking-threads=4"]
    bare = Service("bare", [*command, "benchmarks.bare_wsgi:application"], dict(os.environ))
    stack.enter_context(bare).wait_for(f"http://{LOOPBACK}:{port}/")
    prepare_pgbench(layout.database_url("primary"))
    return {
        "a bare WSGI answer": Wrk(port, iter([Request("GET", "/", "X-None", "0")])),
        "pgbench, such a payment step by step": pgbench(layout.database_url("primary")),
    }


def prepare_pgbench(url: str) -> None:
    with psycopg.connect(url) as database:
        database.execute(f"CREATE SEQUENCE bench START {PAYMENTS + 1}")
        webhook.add_constants(database)


def pgbench(url: str) -> Measure:
    program = postgresql_programs() / "pgbench"
    command = [str(program), "--no-vacuum", "--file=/dev/stdin", f"--client={CONNECTIONS}"]
    command += ["--protocol=prepared", "--jobs=2", f"--time={SECONDS}"]

    def measure() -> Figure:
        done = subprocess.run(  # noqa: S603
            [*command, url.replace("postgres://", "postgresql://")],
            input=webhook.SQL.read_text(),
            capture_output=True,
            text=True,
            check=True,
        )
        rate = re.search(r"tps = ([0-9.]+) \(without", done.stdout)
        average = re.search(r"latency average = ([0-9.]+)", done.stdout)
        if rate is None or average is None:
            raise SystemExit(f"pgbench failed: {done.stdout}")
        return Figure(float(rate[1]), float(average[1]))

    return measure


def peers(stack: ExitStack) -> dict[str, Measure]:
    """Other packages' key checks, and dj-stripe's webhook, on a PostgreSQL of their own."""
    cluster = stack.enter_context(Cluster(durable=True))
    cases: dict[str, Measure] = {}
    port = stack.enter_context(other_keys(cluster))
    for name in key_peers.PEER_CASES:
        path, kind, _ = key_peers.HTTP_CASES[name]
        headers = [key_rows.header(kind, number) for number in range(1, KEYS)]
        requests = [Request("GET", path, "Authorization", each) for each in headers]
        cases[name] = Wrk(port, iter(requests))
    if DJSTRIPE.exists():
        cases["dj-stripe, its webhook"] = stack.enter_context(dj_stripe(cluster))
    return cases


@contextmanager
def other_keys(cluster: Cluster) -> Iterator[int]:
    python = key_peers.environment_with_peers()
    environment = key_peers.environment_for(cluster.create_database("keys"))
    worker = key_peers.Worker(python, environment)
    worker.ask("load", count=key_peers.FEW)
    worker.stop()
    port = free_port()
    command = [str(python), "manage.py", "serve", f"--bind={LOOPBACK}:{port}"]
    with Service("peers", [*command, "--workers=2", "--threads=4"], environment) as service:
        service.wait_for(f"http://{LOOPBACK}:{port}/api/plain")
        yield port


@contextmanager
def dj_stripe(cluster: Cluster) -> Iterator[Measure]:
    with webhook.djstripe(cluster, str(DJSTRIPE)) as rate:
        yield lambda: Figure(rate(SECONDS))


def table(figures: dict[str, list[Figure]]) -> list[str]:
    """The medians as a Markdown table."""
    lines = [
        "| | requests/s | p50 ms | p99 ms |",
        "|---|---:|---:|---:|",
    ]
    for name, found in figures.items():
        rate = statistics.median(each.rate for each in found)
        p50, p99 = (
            f"{statistics.median(values):.1f}" if values else ""
            for values in (
                [each.p50 for each in found if each.p50 is not None],
                [each.p99 for each in found if each.p99 is not None],
            )
        )
        lines.append(f"| {name} | {rate:,.0f} | {p50} | {p99} |")
    return lines


def machine(load: float) -> list[str]:
    """The machine, the load before the start, and the versions."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version(name)}" for name in ("django", "granian", "psycopg"))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        f"# {time.strftime('%Y-%m-%d')}, commit {commit.stdout.strip()}",
        "",
        f"{os.cpu_count()} processors ({cpu[1] if cpu else platform.machine()}), load before "
        f"{load:.1f}; Python {platform.python_version()}, {packages}, "
        f"PostgreSQL {find_installation().version}, nginx {nginx_version()}; "
        f"{ROUNDS} rounds of {SECONDS} s, {CONNECTIONS} connections.",
    ]


def nginx_version() -> str:
    program = debian.find("nginx") or "nginx"
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)  # noqa: S603
    return done.stderr.strip().rpartition("/")[2]


def write(text: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{time.strftime('%Y-%m-%d')}.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(main())
