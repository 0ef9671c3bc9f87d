"""`make disaster`: lose an hour after a backup, and bring its payments back from the local Stripe.

Everything is on this machine: a private PostgreSQL, the application, the local Stripe. Each step
prints what it found, and the run fails if a payment, a refund or a key does not come back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import requests

from devtools.management import manage
from devtools.ports import LOOPBACK, free_port
from devtools.postgres import Cluster, find_installation
from devtools.service import Service
from payflow.dev_secrets import secrets_for
from sandbox.testing import RunningSandbox, running


class Lost(Exception):
    """Something did not come back."""


@dataclass
class Drill:
    """The state of one run."""

    environment: dict[str, str]
    url: str
    stripe: RunningSandbox
    dump: Path
    tokens: dict[int, str] = field(default_factory=dict)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as database:
            found = database.execute(statement.encode(), values)
            return found.fetchall() if found.description else []

    def customer(self, name: str) -> int:
        ((user_id,),) = self.sql(
            "INSERT INTO users (email, name) VALUES (%s, %s) RETURNING id",
            f"{name.lower()}@example.com",
            name,
        )
        self.tokens[user_id] = manage(
            self.environment, "issue_token", f"{name.lower()}@example.com"
        ).strip()
        return int(user_id)

    def call(self, user_id: int, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(
            method,
            f"{self.url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.tokens[user_id]}"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json()

    def start(self, user_id: int, title: str) -> int:
        return int(self.call(user_id, "POST", "/api/conversations", {"title": title})["id"])

    def pay(self, user_id: int, conversation_id: int) -> str:
        """Pay for a conversation, and wait until its event was delivered. The session's id."""
        body = {"conversationId": conversation_id}
        session_id = self.call(user_id, "POST", "/api/payments/link", body)["sessionId"]
        self.stripe.pay(session_id)
        self.stripe.wait_idle()
        return str(session_id)

    def reveal(self, user_id: int) -> str:
        (key, *_) = self.call(user_id, "GET", "/api/api-keys")["keys"]
        return str(self.call(user_id, "POST", f"/api/api-keys/{key['id']}/reveal")["key"])


def main() -> int:
    try:
        with running_drill() as drill:
            run(drill)
    except Lost as reason:
        sys.stdout.write(f"LOST: {reason}\n")
        return 1
    sys.stdout.write("Everything came back.\n")
    return 0


def run(drill: Drill) -> None:
    """Raises Lost."""
    ada, ben = drill.customer("Ada"), drill.customer("Ben")
    first, second = drill.start(ada, "Paid before"), drill.start(ben, "Paid after")
    refunded = drill.pay(ada, first)
    drill.pay(ada, drill.start(ada, "Revealed after"))
    began = datetime.now(UTC)
    postgresql(drill, "pg_dump", "--format=custom", f"--file={drill.dump}")
    say("Two payments, then a backup.")

    drill.reveal(ada)
    drill.pay(ben, second)
    lost_key = drill.reveal(ben)
    carl = drill.customer("Carl")
    of_carl, of_ben = drill.start(carl, "A lost user's"), drill.start(ben, "A lost one")
    drill.pay(carl, of_carl)
    drill.pay(ben, of_ben)
    charge = drill.stripe.object(drill.stripe.object(refunded)["payment_intent"])["latest_charge"]
    drill.stripe.refund(charge)
    drill.stripe.wait_idle()
    say("After it: three payments, a refund and two revealed keys, all delivered.")

    before = orders(drill)
    drill.sql("DROP SCHEMA public CASCADE")
    drill.sql("CREATE SCHEMA public")
    postgresql(drill, "pg_restore", "--exit-on-error", str(drill.dump))
    say(f"The database is lost and restored: {len(orders(drill))} of {len(before)} orders.")

    said = recover(drill, began)
    kept = {key: row for key, row in before.items() if key not in (of_carl, of_ben)}
    expect(orders(drill) == kept, "every order of a known conversation, with its refund")
    expect(f"conversation {of_ben} of user {ben} is missing" in said, "the lost conversation")
    expect(any(line.startswith(f"user {carl},") for line in said), "the lost user")
    expect(recover(drill, began) == said, "a repeat is the same")
    expect(not works(drill, lost_key), "the key that was shown in the lost hour is refused")
    expect(works(drill, drill.reveal(ben)), "it is revealed anew")
    expect(drill.start(ben, "New") > of_ben, "ids of lost conversations are not given again")
    manage(drill.environment, "check_invariants")
    say("check_invariants: every rule holds.")


def recover(drill: Drill, began: datetime) -> list[str]:
    output = manage(drill.environment, "recover_payments", "--since", began.isoformat())
    say(f"recover_payments: {output.strip()}")
    return output.splitlines()[1:]


def orders(drill: Drill) -> dict[int, tuple[Any, ...]]:
    found = drill.sql(
        "SELECT conversation_id, status, amount_cents, refunded_cents, stripe_session_id"
        " FROM orders"
    )
    return {conversation_id: tuple(rest) for conversation_id, *rest in found}


def works(drill: Drill, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{drill.url}/api/api-keys/verify"
    return requests.get(url, headers=headers, timeout=30).status_code == 204


def expect(holds: bool, what: str) -> None:
    """Raises Lost."""
    if not holds:
        raise Lost(what)
    say(f"ok: {what}")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def postgresql(drill: Drill, program: str, *arguments: str) -> None:
    found = find_installation().directory / program
    command = [str(found), f"--dbname={drill.environment['DATABASE_URL']}", *arguments]
    subprocess.run(command, check=True)


@contextmanager
def running_drill() -> Iterator[Drill]:
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    with TemporaryDirectory() as directory, Cluster() as cluster:
        secrets = secrets_for(Path(directory))
        webhook, secret = f"{url}/api/webhooks/stripe", secrets["STRIPE_WEBHOOK_SECRET"]
        with running(webhook=webhook, webhook_secret=secret) as stripe:
            environment = {
                **os.environ,
                **secrets,
                "ENV_FILE": "",
                "DEBUG": "off",
                "DATABASE_URL": cluster.url(),
                "STRIPE_API_BASE": stripe.url,
                "STRIPE_PRODUCT_PRICE_ID": "price_sandbox_premium",
                "FRONTEND_URL": url,
                "PORT": str(port),
                "WEB_CONCURRENCY": "1",
            }
            manage(environment, "migrate", "--verbosity=0")
            serve = [sys.executable, "manage.py", "serve", f"--bind={LOOPBACK}:{port}"]
            with Service("app", serve, environment) as app:
                app.wait_for(f"{url}/healthz")
                yield Drill(environment, url, stripe, Path(directory) / "payflow.dump")


if __name__ == "__main__":
    sys.exit(main())
