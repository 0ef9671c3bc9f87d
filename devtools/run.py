"""`make run`: set up and start payflow and the local Stripe, and print the address.

One process prepares and supervises. Ctrl-C, SIGTERM, SIGHUP or the end of either server ends
everything that was started.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

import dj_database_url

from devtools import runfile
from devtools.management import CommandFailedError, manage
from devtools.ports import LOOPBACK, free_port, is_free
from devtools.service import ROOT, Service, ServiceError
from payflow.dev_secrets import secrets_for
from payflow.env import Configuration, Environment, env_file, read_environment

STRIPE_PORT = 12111
CHECK_INTERVAL = 0.25
LIVE_KEYS = ("sk_live_", "rk_live_")
PYTHON = sys.executable
EMBEDDED = ROOT / "db.sqlite3"

BANNER = """
payflow is running: {url}/
Ctrl-C stops everything.

  sign in    {email}
  password   {password}
  pay with   4242 4242 4242 4242 (4000 0000 0000 0002 is declined), any date ahead, any CVC
  API        {url}/api/docs
  Stripe     {stripe} (local: no account, no money)

The whole way from the terminal: make demo. Or its first step, a payment link:

  curl -sS {url}/api/payments/link -H 'Content-Type: application/json' \\
    -H 'Authorization: Bearer {token}' \\
    -d '{{"conversationId": {conversationId}}}'
"""


class CannotRunError(Exception):
    """The servers can't start; the text is for the developer."""


@dataclass(frozen=True)
class Plan:
    """Where the two servers listen."""

    port: int
    stripe_port: int

    @property
    def url(self) -> str:
        """The URL for the browser; its host is that of the success page, so the session is kept."""
        return f"http://localhost:{self.port}"

    @property
    def app(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def stripe(self) -> str:
        return f"http://{LOOPBACK}:{self.stripe_port}"


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        run()
    except (CannotRunError, CommandFailedError, ServiceError) as error:
        print(f"payflow: {str(error).rstrip()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npayflow: stopped")
    return 0


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Turn other signals into KeyboardInterrupt."""
    raise KeyboardInterrupt


def run() -> None:
    variables = read_environment(env_file(ROOT))
    plan = make_plan(variables)
    environment = environment_for(plan, variables)
    with ExitStack() as stack:
        try:
            # Both start while the database is prepared: neither needs it before a request.
            create_database_file(environment)
            stripe = stack.enter_context(Service("stripe", sandbox(plan), environment))
            runserver = [PYTHON, "manage.py", "runserver", plan.app]
            app = stack.enter_context(Service("app", runserver, environment))
            demo = prepare(environment)
            stripe.wait_for_line_with(plan.stripe)
            app.wait_for(f"http://{plan.app}/healthz")
            address = runfile.Address(plan.url, demo["email"], demo["password"])
            stack.enter_context(runfile.written_runfile(address))
            print(BANNER.format(url=plan.url, stripe=plan.stripe, **demo), flush=True)
            supervise((stripe, app))
        finally:
            ignore_signals()


def create_database_file(environment: Mapping[str, str]) -> None:
    """Create the database if it is SQLite's: of two programs that do, one finds it locked."""
    # What is wrong with the URL or the file, `manage.py` says.
    with suppress(ValueError, sqlite3.Error):
        url = environment.get("DATABASE_URL") or f"sqlite:///{EMBEDDED}"
        settings = dj_database_url.parse(url)
        if settings["ENGINE"] == "django.db.backends.sqlite3":
            with closing(sqlite3.connect(settings["NAME"])) as database:
                database.execute("PRAGMA journal_mode=WAL")


def prepare(environment: Mapping[str, str]) -> Any:
    """Migrate the database and make the demo user; replace the embedded database if too old."""
    # In one process: each loads the application for seconds.
    command = ("create_demo", "--migrate", "--json")
    try:
        return json.loads(manage(environment, *command))
    except CommandFailedError as error:
        if "payflow.E001" not in str(error) or environment.get("DATABASE_URL"):
            raise
        kept = EMBEDDED.rename(EMBEDDED.with_suffix(f".sqlite3.{time.strftime('%Y%m%d-%H%M%S')}"))
        print(f"payflow: db.sqlite3 is of a version too old to go on from; kept as {kept.name}")
        create_database_file(environment)
        return json.loads(manage(environment, *command))


def make_plan(variables: Environment) -> Plan:
    """Choose the ports; raise CannotRunError if PORT is taken, use another if Stripe's is."""
    port = Configuration(variables, {}).integer("PORT", 3000)
    if not is_free(port):
        raise CannotRunError(f"port {port} is in use; choose another: make run PORT={port + 1}")
    usual = port != STRIPE_PORT and is_free(STRIPE_PORT)
    return Plan(port, STRIPE_PORT if usual else free_port())


def environment_for(plan: Plan, variables: Environment) -> dict[str, str]:
    """The variables of the caller and .env, with defaults for development."""
    given = {name: str(value) for name, value in variables.ENVIRON.items() if value}
    given.pop("PYTHONDONTWRITEBYTECODE", None)  # each process would compile every package again
    environment = {
        **secrets_for(runfile.DIRECTORY),
        **given,
        "DEBUG": "on",
        "PORT": str(plan.port),
        "STRIPE_API_BASE": plan.stripe,
    }
    if environment["STRIPE_SECRET_KEY"].startswith(LIVE_KEYS):
        raise CannotRunError("STRIPE_SECRET_KEY is a live key: this is no place for real money")
    return environment


def sandbox(plan: Plan) -> list[str]:
    """The command of the local Stripe."""
    return [
        *(PYTHON, "-m", "sandbox"),
        f"--port={plan.stripe_port}",
        f"--webhook=http://{plan.app}/api/webhooks/stripe",
        f"--state={runfile.STRIPE_STATE}",
    ]


def ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def supervise(services: Sequence[Service]) -> None:
    """Print the servers' output; raise ServiceError when one ends."""
    for service in services:
        service.echo = True
    while True:
        for service in services:
            service.check()
        time.sleep(CHECK_INTERVAL)


if __name__ == "__main__":
    sys.exit(main())
