"""README and docs: what they name exists, and their SQL and lists agree with the code."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import get_commands
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys import lookup, services
from apikeys.models import ApiKey, Grant, KeyState
from billing.events.handlers import HANDLERS, SUBSCRIPTION
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.factories import UserFactory
from testing.keys import paid_key, revealed_key

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - {".run", ".venv"}

GRANT_TIMES = ((), ("suspended_at",), ("revoked_at",), ("stopped_at",))
KEY_TIMES = (*GRANT_TIMES[:3], ("rotated_at",), ("rotated_at", "suspended_at"))
EXPIRES_IN = (None, timedelta(hours=-1), timedelta(hours=1))

# Variables that Stripe's command line and prometheus_client read.
# Of other programs, and of the tools in the Makefile.
OTHER_PROGRAMS = {"HTTPS_PROXY", "PROMETHEUS_MULTIPROC_DIR", "CLUSTER_PORT"}

WITH_COMMANDS = ("accounts", "billing", "payflow", "support")

HEADINGS = ["Context", "Decision", "Consequences"]
DATED = re.compile(r"^Status: (accepted|superseded)\. Date: \d{4}-\d{2}-\d{2}\.", re.MULTILINE)
PATH = re.compile(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:py|md|toml|ini))`")
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")
MAKE_TARGET = re.compile(r"\bmake ([a-z][a-z0-9-]+)")
COMMAND = re.compile(r"manage\.py ([a-z_]+)")
VARIABLE = re.compile(r"`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)`")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def code_block(page: str, start: str) -> str:
    """The fenced block of a page that begins with this text."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    found: str = next(block for block in blocks if block.startswith(start))
    return found


def anchors(page: Path) -> set[str]:
    """The fragments by which a page's headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_paths_in_the_docs_exist(page: Path) -> None:
    named = {path for path in PATH.findall(page.read_text()) if path.split("/")[0] in FOLDERS}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pages
def test_links_between_the_docs_lead_somewhere(page: Path) -> None:
    broken = []
    for target, fragment in LINK.findall(page.read_text()):
        path = page.parent / target if target else page
        if not path.exists() or (fragment and fragment not in anchors(path)):
            broken.append(f"{target}#{fragment}")
    assert broken == []


@pages
def test_make_targets_commands_and_variables_in_the_docs_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(re.findall(r"`+[^`]+`+", text))
    assert set(MAKE_TARGET.findall(code)) <= targets
    assert set(COMMAND.findall(text)) <= set(get_commands())
    sources = (".env.example", "payflow/settings.py", "payflow/env.py")
    settings = "".join((ROOT / source).read_text() for source in sources)
    variables = set(VARIABLE.findall(text)) - OTHER_PROGRAMS
    assert {name for name in variables if name not in settings} == set()


def test_every_management_command_is_in_the_docs() -> None:
    text = "".join(page.read_text() for page in PAGES)
    ours = {name for name, app in get_commands().items() if app in WITH_COMMANDS}
    ours -= {"create_demo"}  # of `make run`
    assert len(ours) > len(WITH_COMMANDS)
    assert {
        name for name in ours if f"`{name}" not in text and f"manage.py {name}" not in text
    } == set()


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_status_date_context_decision_and_consequences(page: Path) -> None:
    text = page.read_text()
    assert re.match(rf"# {int(page.stem[:4])}\. ", text)
    assert DATED.search(text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


def test_the_docs_list_the_events_that_are_handled() -> None:
    to_subscribe_to = set(code_block("docs/operations.md", "checkout.session").split())
    assert to_subscribe_to == set(SUBSCRIPTION)
    table = (ROOT / "docs" / "events.md").read_text().partition("## Statuses")[0]
    assert set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", table)) == set(HANDLERS)


def unique_without_the_user() -> Iterator[set[str]]:
    """The columns of each unique constraint of ours that does not contain the user."""
    for model in apps.get_models():
        options: Any = model._meta
        if Path(apps.get_app_config(options.app_label).path).parent != ROOT:
            continue
        single = [[f] for f in options.concrete_fields if f.unique and not f.primary_key]
        several = [
            [options.get_field(name) for name in each.fields]
            for each in options.total_unique_constraints
        ]
        for fields in (*single, *several):
            columns = {field.column for field in fields}
            if "user_id" not in columns:
                yield {f"{options.db_table}.{column}" for column in columns}


def test_the_page_on_sharding_names_every_unique_constraint_that_crosses_shards() -> None:
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", (ROOT / "docs" / "scaling.md").read_text()))
    crossing = list(unique_without_the_user())
    assert {"stripe_events.event_id"} in crossing
    assert [columns for columns in crossing if not columns & named] == []
    tables = {model._meta.db_table for model in apps.get_models()}
    assert {name.split(".")[0] for name in named} <= tables


@pytest.mark.django_db
def test_the_sql_in_the_docs_runs() -> None:
    statements = code_block("docs/operations.md", "SELECT event_id").split(";")
    with connection.cursor() as cursor:
        for statement in filter(str.strip, statements):
            cursor.execute(statement)


@pytest.mark.django_db
def test_the_sql_in_the_docs_says_of_every_key_what_the_code_says() -> None:
    now = timezone.now()
    secrets = {}
    for is_active in (True, False):
        user = UserFactory.create(is_active=is_active)
        for of_grant, of_key, expires_in in itertools.product(GRANT_TIMES, KEY_TIMES, EXPIRES_IN):
            grant = Grant.objects.create(user=user, **dict.fromkeys(of_grant, now))
            times: dict[str, Any] = dict.fromkeys(of_key, now)
            expires_at = None if expires_in is None else now + expires_in
            key, secret = revealed_key(user, grant=grant, expires_at=expires_at, **times)
            secrets[key.pk] = secret

    with connection.cursor() as cursor:
        cursor.execute(code_block("docs/operations.md", "SELECT k.id"))
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    assert [row["id"] for row in rows] == sorted(secrets)
    assert {row["state"] for row in rows} == set(KeyState.values)
    for row in rows:
        assert row["state"] == ApiKey.objects.get(pk=row["id"]).state.value
        works = bool(row["is_active"]) and row["state"] in ("active", "rotated")
        assert works == (lookup.find(secrets[row["id"]]) is not None)


LOCKS = {
    "event": 'FROM "stripe_events"',
    "payment intent": "pg_advisory_xact_lock",
    "conversation": 'FROM "conversations"',
    "order": 'FROM "orders"',
    "user": 'FROM "users"',
    "grant": 'FROM "grants"',
    "key": 'FROM "api_keys"',
}


def lock_order() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text()
    found = re.findall(r"^    (event → .+)$", text, re.MULTILINE)
    assert len(found) == 1
    return str(found[0]).split(" → ")


def locks_taken(captured: CaptureQueriesContext) -> list[list[str]]:
    """For each transaction, what it locked and waited for. The fast path locks two at once."""
    transactions: list[list[str]] = [[]]
    for query in captured.captured_queries:
        sql = query["sql"]
        if sql.startswith(("BEGIN", "COMMIT")):
            transactions.append([])
        elif "SKIP LOCKED" not in sql and ("FOR NO KEY UPDATE" in sql or "_xact_lock" in sql):
            if "FROM stripe_events" in sql:
                transactions[-1].append("event")
            transactions[-1] += [name for name, table in LOCKS.items() if table in sql]
    # What is held is not waited for again: the ordinary path locks what the fast path has locked.
    return [list(dict.fromkeys(taken)) for taken in transactions if taken]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_locks_are_taken_in_the_order_that_the_docs_give(conversation: Conversation) -> None:
    user = conversation.user
    with CaptureQueriesContext(connection) as captured:
        key = paid_key(conversation)
        order = conversation.orders.get()
        stripe.deliver(stripe.completed(conversation))  # the duplicate, by the ordinary path
        intent = str(order.stripe_payment_intent_id)
        stripe.deliver(stripe.event("charge.dispute.created", stripe.dispute(intent)))
        stripe.deliver(stripe.event("refund.created", stripe.refund(intent)))
        made, _ = services.create(user_id=user.pk, name="another", expires_at=None)
        services.rotate(user_id=user.pk, key_id=made.pk)
        services.revoke(key.pk, reason="lost")

    order_of_locks = lock_order()
    assert sorted(order_of_locks) == sorted(LOCKS)
    taken = locks_taken(captured)
    assert {name for names in taken for name in names} == set(LOCKS)
    for names in taken:
        assert names == sorted(names, key=order_of_locks.index)
    assert ApiKey.objects.count() == 4
