"""The cluster's programs, and the order in which they start and stop."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import psycopg
from psycopg import sql

from devtools import debian
from devtools.cluster import configuration, daemons
from devtools.cluster.daemons import Daemon
from devtools.cluster.layout import DATABASES, NODES, Layout, directory_of
from devtools.management import manage
from devtools.ports import LOOPBACK
from devtools.service import ROOT, answers

START_TIMEOUT = 120.0
# Passed on: load from one machine exceeds them.
LIMITS = (
    "API_KEY_REQUESTS_PER_MINUTE",
    "FAILED_AUTHENTICATIONS_PER_MINUTE",
    "LINKS_PER_MINUTE",
)
# The reverse of the order in which they depend on each other.
STOP_ORDER = (
    *("nginx", "stripe", "worker", *NODES, "pgbouncer", "haproxy"),
    *("pg2", "pg1", "etcd", "redis"),
)


class ClusterError(Exception):
    """The cluster does not start; the text says which part, and where its log is."""


class Cluster:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.run = layout.directory / "run"

    def create(self) -> None:
        """Make the directory and start everything; raise ClusterError, and leave nothing."""
        self.layout.directory.mkdir(mode=0o711)
        try:
            self._prepare_directory()
            self._start_databases()
            self._start_application()
        except BaseException:
            remove(self.layout.port, keep_logs=True)
            raise

    def start(self, name: str) -> None:
        daemons.start(self._daemon(name), self.run)

    def stop(self, name: str) -> None:
        daemons.stop(name, self.run)

    def kill(self, name: str) -> None:
        daemons.kill(name, self.run)

    def leader(self) -> str | None:
        """The database node that takes writes now."""
        return next((name for name in DATABASES if self._patroni_says(name, "primary")), None)

    def has_synchronous_standby(self) -> bool:
        return any(self._patroni_says(name, "sync") for name in DATABASES)

    def wait_for(self, what: str, condition: Callable[[], object]) -> None:
        """Wait until the condition is true; raise ClusterError with the names of the logs."""
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                raise ClusterError(f"{what} within {START_TIMEOUT:.0f} s; logs are in {self.run}")
            time.sleep(0.2)

    def environment(self, *, database: str = "pgbouncer") -> dict[str, str]:
        """The variables of the application; the database is reached through this part."""
        layout = self.layout
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return inherited | {
            "ENV_FILE": "",
            "SECRET_KEY": layout.secret_key,
            "JWT_SECRET": layout.jwt_secret,
            "DATABASE_URL": layout.database_url(database),
            "DATABASE_DIRECT_URL": layout.database_url("primary"),
            "DATABASE_PREPARE": "on" if configuration.pgbouncer_prepares() else "off",
            "REDIS_URL": f"redis://{layout.address('redis')}/0",
            "ALLOWED_HOSTS": f"localhost,{LOOPBACK}",
            "FRONTEND_URL": layout.url,
            "TRUSTED_PROXIES": "1",
            "STRIPE_SECRET_KEY": "sk_test_of_the_cluster",
            "STRIPE_WEBHOOK_SECRET": layout.webhook_secret,
            "STRIPE_PRODUCT_PRICE_ID": "price_sandbox_premium",
            "STRIPE_API_BASE": f"http://{layout.address('stripe')}",
            **{name: os.environ.get(name, "") for name in LIMITS},
            "PYTHONUNBUFFERED": "1",
        }

    def _prepare_directory(self) -> None:
        directory = self.layout.directory
        for name in ("run", "etcd", "redis", "nginx", *DATABASES):
            (directory / name).mkdir(mode=0o700 if name in DATABASES else 0o755)
        self.layout.save()
        configuration.write_all(self.layout)
        if account := daemons.unprivileged():
            for path in (directory, *directory.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid)

    def _start_databases(self) -> None:
        self.start("redis")
        self.start("etcd")
        self.start("pg1")
        self.wait_for("the first PostgreSQL did not start", self.leader)
        self.start("pg2")
        self._create_database()
        self.start("haproxy")
        self.start("pgbouncer")
        self.wait_for("the standby did not start", self.has_synchronous_standby)

    def _start_application(self) -> None:
        self.wait_for("PostgreSQL can't be reached", self._database_answers)
        direct = self.environment(database="primary")
        manage(direct, "migrate", "--verbosity=0")
        manage(direct, "create_roles")
        for name in (*NODES, "worker", "stripe", "nginx"):
            self.start(name)
        for node in NODES:
            self.wait_for(f"{node} did not start", partial(self.is_ready, node))
        self.wait_for("nginx did not start", lambda: answers(f"{self.layout.url}/readyz"))

    def is_ready(self, node: str) -> bool:
        return answers(f"http://{self.layout.address(node)}/readyz")

    def _create_database(self) -> None:
        address = self.layout.address(self.leader() or "pg1")
        url = f"postgres://postgres:{self.layout.password}@{address}/postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            password = sql.Literal(self.layout.password)
            connection.execute(sql.SQL("CREATE ROLE payflow LOGIN PASSWORD {}").format(password))
            connection.execute("CREATE DATABASE payflow OWNER payflow")

    def _database_answers(self) -> bool:
        try:
            psycopg.connect(self.layout.database_url("pgbouncer"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _patroni_says(self, name: str, role: str) -> bool:
        return answers(f"http://{self.layout.address(f'{name}_rest')}/{role}")

    def _daemon(self, name: str) -> Daemon:
        if name in NODES or name in ("worker", "stripe"):
            return Daemon(
                name, self._python(name), self.environment(), as_root=True, directory=str(ROOT)
            )
        path = {"PATH": debian.PATH}
        return Daemon(name, self._command(name), path, directory=str(self.layout.directory))

    def _python(self, name: str) -> list[str]:
        if name == "worker":
            return [sys.executable, "manage.py", "run_worker"]
        if name == "stripe":
            return [
                *(sys.executable, "-m", "sandbox", f"--port={self.layout.ports['stripe']}"),
                f"--webhook={self.layout.url}/api/webhooks/stripe",
                f"--state={self.layout.directory}/stripe.sqlite3",
            ]
        return [
            *(sys.executable, "manage.py", "serve"),
            f"--bind={self.layout.address(name)}",
            f"--workers={os.environ.get('WEB_CONCURRENCY') or 2}",
        ]

    def _command(self, name: str) -> list[str]:
        directory = self.layout.directory
        etcd, peer = (f"http://{self.layout.address(part)}" for part in ("etcd", "etcd_peer"))
        arguments: Mapping[str, list[str]] = {
            "etcd": [
                *("etcd", "--name=payflow", f"--data-dir={directory}/etcd"),
                *(f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}"),
                *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
                f"--initial-cluster=payflow={peer}",
            ],
            "pg1": ["patroni", f"{directory}/pg1.yml"],
            "pg2": ["patroni", f"{directory}/pg2.yml"],
            "haproxy": ["haproxy", "-db", "-f", f"{directory}/haproxy.cfg"],
            "pgbouncer": ["pgbouncer", f"{directory}/pgbouncer.ini"],
            "redis": [
                *("redis-server", "--port", str(self.layout.ports["redis"]), "--bind", LOOPBACK),
                *("--save", "", "--appendonly", "no", "--dir", f"{directory}/redis"),
            ],
            "nginx": [
                *("nginx", "-p", str(directory), "-c", f"{directory}/nginx.conf"),
                *("-e", f"{directory}/nginx/error.log"),
            ],
        }
        program, *rest = arguments[name]
        return [debian.find(program) or program, *rest]


def remove(port: int, *, keep_logs: bool = False) -> bool:
    """Stop what runs, and remove the directory; return whether there was a cluster."""
    directory = directory_of(port)
    if not directory.exists():
        return False
    run = directory / "run"
    for name in STOP_ORDER:
        daemons.stop(name, run)
    if keep_logs:
        shutil.copytree(run, ROOT / ".run" / "cluster-logs", dirs_exist_ok=True)
    shutil.rmtree(directory)
    return True
