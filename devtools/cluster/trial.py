"""`make cluster-test`: parts of the cluster fail under load, and nothing may be lost or doubled.

TRIAL_SECONDS (600) is how long it takes. It prints for each fault which requests failed, and fails
if an acknowledged event, an order or a key is lost or doubled, a revoked key works, a request fails
during the rolling restart, or a node's memory grows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

import psycopg
import requests

from devtools import debian
from devtools.cluster.__main__ import up
from devtools.cluster.layout import NODES, cluster_port
from devtools.cluster.load import VERIFY, Load, Seen
from devtools.cluster.topology import LIMITS, Cluster, ClusterError, remove
from devtools.management import CommandFailedError, manage

SECONDS = float(os.environ.get("TRIAL_SECONDS") or 600)
USERS = 20
FEW, MANY = 1000, 100_000
MOST_GROWTH = 1.10
ROLLING_RESTART = "rolling restart"
Step = Callable[[], None]


@dataclass(frozen=True)
class Phase:
    """A fault and when it began; it lasts until the next phase."""

    name: str
    began: float


class Trial:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.load = Load(cluster.layout, self._create_users())
        self.phases: list[Phase] = []

    def run(self) -> list[str]:
        """Run every phase under load; return what is wrong."""
        steps: list[tuple[str, Step]] = [
            ("undisturbed", lambda: None),
            ("web node killed", lambda: self.cluster.kill("web1")),
            ("web node started", lambda: self.cluster.start("web1")),
            ("PgBouncer restarted", self._restart_pgbouncer),
            ("Redis stopped", lambda: self.cluster.stop("redis")),
            ("Redis started", lambda: self.cluster.start("redis")),
            ("PostgreSQL's leader killed", self._fail_over),
            ("its former leader follows", self._rejoin),
            (ROLLING_RESTART, self._restart_nodes),
            ("undisturbed again", lambda: None),
        ]
        self.load.start()
        try:
            for name, step in steps:
                self._run_phase(name, step, SECONDS / len(steps))
        finally:
            self.load.stop()
        self._settle()
        report(self.load.seen, self.phases)
        return [*self.load.seen.violations, *self._failures_of_the_rolling_restart(), *self._lost()]

    def run_undisturbed(self, is_enough: Callable[[Seen], object]) -> list[str]:
        """Run the load without a fault; return what is wrong, failed requests among it.

        Raises ClusterError if it takes too long until it is enough.
        """
        seen = self.load.seen
        self.load.start()
        try:
            self.cluster.wait_for("the load did not get far", lambda: is_enough(seen))
        finally:
            self.load.stop()
        self._settle()
        failed = [f"{each.kind}: {each.status}" for each in seen.requests if each.failed]
        return [*seen.violations, *failed, *self._lost()]

    def _run_phase(self, name: str, step: Step, seconds: float) -> None:
        print(f"{name} …", flush=True)
        began = time.monotonic()
        self.phases.append(Phase(name, began))
        step()
        time.sleep(max(0.0, began + seconds - time.monotonic()))

    def _restart_pgbouncer(self) -> None:
        self.cluster.stop("pgbouncer")
        self.cluster.start("pgbouncer")

    def _fail_over(self) -> None:
        """Kill the leader, its Patroni too, and wait until the standby has taken over."""
        self.former = self.cluster.leader() or "pg1"
        self.cluster.kill(self.former)
        self._kill_postgres(self.former)
        self.cluster.wait_for(
            "no standby took over",
            lambda: self.cluster.leader() not in (None, self.former),
        )

    def _kill_postgres(self, name: str) -> None:
        """Patroni starts it in a group of its own."""
        file = self.cluster.layout.directory / name / "postmaster.pid"
        pid = int(file.read_text().splitlines()[0])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _rejoin(self) -> None:
        self.cluster.start(self.former)
        self.cluster.wait_for("the standby did not follow", self.cluster.has_synchronous_standby)

    def _restart_nodes(self) -> None:
        for node in NODES:
            self.cluster.stop(node)
            self.cluster.start(node)
            ready = partial(self.cluster.is_ready, node)
            self.cluster.wait_for(f"{node} did not start", ready)

    def _settle(self) -> None:
        """What an operator has by the clock: undelivered events, open sessions."""
        environment = self.cluster.environment()
        manage(environment, "process_events")
        manage(environment, "fetch_events")
        manage(environment, "reconcile_orders")

    def _failures_of_the_rolling_restart(self) -> list[str]:
        starts = {phase.name: phase.began for phase in self.phases}
        # A request that was under way may fail as well.
        begin, end = starts[ROLLING_RESTART] - 1.0, starts["undisturbed again"]
        failed = [
            each for each in self.load.seen.requests if begin <= each.at < end and each.failed
        ]
        return [f"{each.kind}: {each.status} during the rolling restart" for each in failed]

    def _lost(self) -> list[str]:
        """What is missing or there twice in the database."""
        wrong = []
        with psycopg.connect(self.cluster.layout.database_url("primary")) as connection:
            stored = connection.execute("SELECT event_id, status FROM stripe_events").fetchall()
            completed = connection.execute(
                "SELECT conversation_id, count(*) FROM orders WHERE status = 'completed' GROUP BY 1"
            ).fetchall()
        settled = {event_id for event_id, status in stored if status in ("processed", "ignored")}
        acknowledged = self._acknowledged_events()
        wrong += [f"event {each} was acknowledged and is lost" for each in acknowledged - settled]
        orders: Counter[int] = Counter(dict(completed))
        wrong += [
            f"conversation {each} has {orders[each]} completed orders"
            for each in self.load.seen.paid
            if orders[each] != 1
        ]
        try:
            print(manage(self.cluster.environment(), "check_invariants").strip())
        except CommandFailedError as error:
            wrong.append(str(error))
        wrong += self._accepted_though_revoked()
        print(
            f"{len(acknowledged)} acknowledged events, {len(self.load.seen.paid)} payments, "
            f"{len(self.load.seen.revoked)} revoked keys"
        )
        return wrong

    def _accepted_though_revoked(self) -> list[str]:
        """Every revoked key that a node or the edge lets pass."""
        layout = self.cluster.layout
        urls = [f"http://{layout.address(node)}{VERIFY}" for node in NODES]
        urls.append(f"http://{layout.address('edge')}/")
        return [
            f"key {key.key_id} was revoked, and {url} answers {status}"
            for _, key in self.load.seen.revoked
            for url in urls
            if (status := self._status(url, key.secret)) < HTTPStatus.BAD_REQUEST
        ]

    def _status(self, url: str, secret: str) -> int:
        headers = {"Authorization": f"Bearer {secret}", "Host": "localhost"}
        return requests.get(url, headers=headers, timeout=10).status_code

    def _acknowledged_events(self) -> set[str]:
        """The events that the local Stripe says were delivered."""
        url = f"http://{self.cluster.layout.address('stripe')}/v1/events"
        found: set[str] = set()
        parameters: dict[str, str] = {"limit": "100", "delivery_success": "true"}
        while True:
            answer = requests.get(
                url, params=parameters, auth=("sk_test_of_the_cluster", ""), timeout=30
            ).json()
            found |= {each["id"] for each in answer["data"]}
            if not answer["has_more"]:
                return found
            parameters["starting_after"] = answer["data"][-1]["id"]

    def _create_users(self) -> list[int]:
        with psycopg.connect(self.cluster.layout.database_url("primary")) as connection:
            return [
                row[0]
                for number in range(USERS)
                for row in connection.execute(
                    "INSERT INTO users (email, name) VALUES (%s, 'Cluster') RETURNING id",
                    [f"user{number}@example.com"],
                )
            ]

    def memory(self) -> list[str]:
        """Compare a node's memory after few and many requests; say if it grew too much."""
        self.cluster.stop("web1")
        self.cluster.start("web1")
        self.cluster.wait_for("web1 did not start", lambda: self.cluster.is_ready("web1"))
        key = self.load.seen.keys[0].secret
        sizes = []
        for wanted in (FEW, MANY):
            self._requests(wanted, key)
            sizes.append(resident("web1", self.cluster.run))
        before, after = sizes
        print(
            f"memory of a node: {before:.0f} MiB after {FEW:,} requests, {after:.0f} after {MANY:,}"
        )
        if after > before * MOST_GROWTH:
            return [f"the node's memory has grown by {after / before - 1:.0%}"]
        return []

    def _requests(self, wanted: int, key: str) -> None:
        """Send requests of several kinds with wrk until so many were answered."""
        script = """
            local paths = { "%s", "/api/conversations", "/api/orders", "/api/api-keys", "/readyz" }
            local n = 0
            request = function()
                n = n + 1
                return wrk.format("GET", paths[n %% #paths + 1],
                    { Host = "localhost", Authorization = "Bearer %s" })
            end
        """
        answered = 0
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "requests.lua"
            file.touch(mode=0o600)
            file.write_text(script % (VERIFY, key))
            url = f"http://{self.cluster.layout.address('web1')}"
            while answered < wanted:
                seconds = 1 if wanted == FEW else 10
                command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(file), url]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                answered += int(done.stdout.split(" requests in ")[0].split()[-1])


def resident(name: str, run: Path) -> float:
    """The memory of a program and its children, in MiB: each shared page once (PSS)."""
    pids = [int((run / f"{name}.pid").read_text().split()[0])]
    for pid in pids:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pids.extend(map(int, children))
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def report(seen: Seen, phases: list[Phase]) -> None:
    """Print for each phase how many requests failed, and during which of its seconds."""
    ends = [phase.began for phase in phases[1:]] + [float("inf")]
    print(f"\n{'':28}{'requests':>9}{'failed':>8}  seconds with failures")
    for phase, end in zip(phases, ends, strict=True):
        asked = [each for each in seen.requests if phase.began <= each.at < end]
        failed = [each for each in asked if each.failed]
        window = ""
        if failed:
            first, last = min(each.at for each in failed), max(each.at for each in failed)
            kinds = Counter(f"{each.kind} {each.status}" for each in failed)
            window = f"{first - phase.began:.1f} to {last - phase.began:.1f}: " + ", ".join(
                f"{count} {kind}" for kind, count in kinds.most_common(4)
            )
        print(f"{phase.name:28}{len(asked):9,}{len(failed):8,}  {window}")


def main() -> int:
    wrong: list[str]
    port = cluster_port()
    for name in LIMITS:
        os.environ.setdefault(name, "0")
    if debian.provide({"wrk": "wrk"}):
        print("payflow: wrk is not installed. On Debian: apt-get install wrk", file=sys.stderr)
        return 1
    try:
        trial = Trial(up(port))
        try:
            wrong = [*trial.run(), *trial.memory()]
        finally:
            remove(port, keep_logs=True)
    except (ClusterError, CommandFailedError) as error:
        print(f"payflow: {error}", file=sys.stderr)
        return 1
    for line in wrong[:50]:
        print(f"WRONG: {line}")
    print("nothing lost, nothing doubled" if not wrong else f"{len(wrong)} things are wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
