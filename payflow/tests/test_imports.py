"""`import_keys` and `export`: the keys of another system come along, and leave again.

`make soak` imports 100,000 keys (IMPORTED_KEYS) and prints the time.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import time
from datetime import UTC
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from apikeys import key_forms
from apikeys.models import ApiKey, Grant
from apikeys.secret_patterns import REDACTED, contains_secret, redact
from billing import invariants
from billing.models import EventStatus, ImportedPayment, Order, StripeEvent
from conversations.models import Conversation
from devtools.pytest_postgres import database_url
from payflow import exports
from payflow.personal_data import erase
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import UserFactory
from testing.keys import paid_key

pytestmark = pytest.mark.django_db

PATTERN = "old_[a-z0-9]{24,40}|acme-[A-F0-9]{16}"
OLD = "old_0123456789abcdefghijklmnop"
KEYS = int(os.environ.get("IMPORTED_KEYS", "300"))


def row(secret: str = OLD, **columns: Any) -> dict[str, Any]:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return {"externalId": "7", "sha256": digest, "prefix": secret[:8], **columns}


def run(path: Path, *options: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("import_keys", path, *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.fixture
def owner(db: None, settings: Settings) -> User:
    settings.IMPORTED_KEY_PATTERN = PATTERN
    return UserFactory.create(external_id="7", email="seven@example.com")


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """Writes rows as NDJSON, or as CSV with their columns."""

    def write(*rows: Any, as_csv: bool = False) -> Path:
        path = tmp_path / "keys"
        if not as_csv:
            lines = (each if isinstance(each, str) else json.dumps(each) for each in rows)
            path.write_text("\n".join(lines) + "\n")
            return path
        with path.open("w", newline="") as target:
            writer = csv.DictWriter(target, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.mark.parametrize("as_csv", [True, False], ids=["CSV", "NDJSON"])
@pytest.mark.parametrize(
    "by", [{"externalId": "7"}, {"externalId": "", "email": "Seven@Example.com"}]
)
def test_an_imported_key_works_is_listed_and_rotates(
    owner: User, file: Any, by: dict[str, str], as_csv: bool
) -> None:
    created = "2024-05-01T12:00:00+02:00"
    run(file(row(name="Nightly job", tier="pro", created=created, **by), as_csv=as_csv))
    client = bearer(OLD)
    verified = client.get("/api/api-keys/verify")
    assert (verified.status_code, verified.headers["X-User-Id"], verified.headers["X-Tier"]) == (
        *(204, str(owner.pk)),
        "pro",
    )
    (listed,) = client.get("/api/api-keys").json()["keys"]
    assert (listed["name"], listed["prefix"], listed["revealed"]) == ("Nightly job", OLD[:8], True)
    assert listed["createdAt"] == "2024-05-01T10:00:00Z"
    rotated = bearer(issue_access(owner)).post(f"/api/api-keys/{listed['id']}/rotate")
    assert rotated.status_code == 201
    assert bearer(rotated.json()["key"]).get("/api/conversations").status_code == 200
    assert not Order.objects.exists()
    assert not Conversation.objects.exists()
    assert list(invariants.violations()) == []


def test_many_are_imported_and_each_verifies(owner: User, file: Any) -> None:
    secrets = [f"old_{number:030}" for number in range(KEYS)]
    path = file(*(row(secret) for secret in secrets))
    started = time.perf_counter()
    run(path)
    sys.stdout.write(f"{KEYS:,} keys imported in {time.perf_counter() - started:.1f} s\n")
    assert (ApiKey.objects.count(), Grant.objects.count()) == (KEYS, KEYS)
    assert len(bearer(issue_access(owner)).get("/api/api-keys").json()["keys"]) == KEYS
    for secret in secrets[:: max(KEYS // 100, 1)]:
        assert bearer(secret).get("/api/api-keys/verify").status_code == 204
    assert list(invariants.violations()) == []


WRONG = [
    ("no JSON", "it is no JSON object"),
    ("[]", "it is no JSON object"),
    (row(externalId="8"), "there is no such user"),
    (row(externalId=""), "it needs externalId or email, one of them"),
    (row(email="seven@example.com"), "it needs externalId or email, one of them"),
    (row(sha256="abc"), "sha256 is not 64 hexadecimal digits"),
    (row(prefix="x" * 21), "prefix is not 1 to 20 visible characters"),
    (row(prefix=""), "prefix is not 1 to 20 visible characters"),
    (row(name="two\nlines"), "name: A name is one line of text."),
    (row(name="n" * 201), "name is longer than 200 characters"),
    (row(name=7), "name is not a text in UTF-8"),
    (row(name="\ud800"), "name is not a text in UTF-8"),
    (row(name=OLD), "name: This looks like a key or a token, not like a name."),
    (row(tier="a b"), "tier is not a name of a tier"),
    (row(created="yesterday"), "created is not a time like 2024-05-01T12:00:00Z"),
    (row(created="9999-01-01T00:00:00Z"), "created is in the future"),
    (row(created="0001-01-01T00:00:00+14:00"), "created is not a time like 2024-05-01T12:00:00Z"),
    (row(paymentIntent="ch_1"), "paymentIntent is not pi_…"),
    ({**row(), "secret": "x"}, "there is no column 'secret'"),
]


@pytest.mark.usefixtures("owner")
def test_wrong_lines_are_listed_with_their_numbers_and_nothing_is_imported(file: Any) -> None:
    good = row("old_" + "1" * 24)
    path = file(good, *(line for line, _ in WRONG), good)
    err = StringIO()
    with pytest.raises(CommandError, match="lines are wrong: nothing was imported"):
        call_command("import_keys", path, stdout=StringIO(), stderr=err)
    faults = [fault for _, fault in WRONG]
    faults.append("a key with this sha256 exists, or is in an earlier line")
    expected = [f"line {number}: {fault}" for number, fault in enumerate(faults, start=2)]
    assert err.getvalue().splitlines() == expected
    assert not ApiKey.objects.exists()
    assert not Grant.objects.exists()


@pytest.mark.usefixtures("owner")
def test_a_wrong_line_of_csv_has_its_number(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    digest = row()["sha256"]
    path.write_text(f"externalId,sha256,prefix\n7,{digest},old_\n7,{digest}\n7,a,b,c\n")
    err = StringIO()
    with pytest.raises(CommandError, match="2 lines are wrong"):
        call_command("import_keys", path, stdout=StringIO(), stderr=err)
    assert [line[:7] for line in err.getvalue().splitlines()] == ["line 3:", "line 4:"]


@pytest.mark.usefixtures("owner")
def test_a_dry_run_imports_nothing(file: Any) -> None:
    out, _ = run(file(row()), "--dry-run")
    assert "1 keys: 1 correct" in out
    assert not ApiKey.objects.exists()
    run(file(row()))
    with pytest.raises(CommandError, match="1 lines are wrong"):
        run(file(row()))
    assert ApiKey.objects.count() == 1


def test_keys_of_one_payment_share_a_grant(owner: User, file: Any) -> None:
    UserFactory.create(external_id="8")
    run(
        file(
            row("old_" + "1" * 24, paymentIntent="pi_1"),
            row("old_" + "2" * 24, paymentIntent="pi_1"),
        )
    )
    run(file(row("old_" + "3" * 24, paymentIntent="pi_1")))
    assert ImportedPayment.objects.get().grant.keys.count() == 3
    for other in ({"externalId": "8"}, {"tier": "other"}):
        with pytest.raises(CommandError):
            run(file(row("old_" + "4" * 24, paymentIntent="pi_1", **other)))


def test_the_payment_of_an_order_is_not_imported(
    owner: User, conversation: Conversation, file: Any
) -> None:
    paid_key(conversation)
    intent = conversation.orders.get().stripe_payment_intent_id
    with pytest.raises(CommandError):
        run(file(row(paymentIntent=intent)))


def send(kind: str, stripe_object: Any, at: int = 0) -> str:
    """Deliver an event, and return its status."""
    event = {**stripe.event(kind, stripe_object), "created": 1_790_000_000 + at}
    assert stripe.deliver(event).status_code == 200
    return StripeEvent.objects.get(event_id=event["id"]).status


@pytest.fixture
def imported(owner: User, file: Any) -> APIClient:
    """A client with an imported key of the payment pi_1."""
    run(file(row(paymentIntent="pi_1")))
    return bearer(OLD)


def works(client: APIClient) -> bool:
    assert list(invariants.violations()) == []
    return bool(client.get("/api/conversations").status_code == 200)


def test_a_full_refund_of_an_imported_payment_ends_its_grant(imported: APIClient) -> None:
    assert send("charge.refunded", stripe.refunded_charge("pi_1", 500)) == EventStatus.PROCESSED
    assert works(imported)
    assert send("charge.refunded", stripe.refunded_charge("pi_1"), at=5) == EventStatus.PROCESSED
    assert not works(imported)
    send("refund.updated", stripe.refund("pi_1", status="failed"), at=2)  # an older one
    assert not works(imported)
    send("refund.failed", stripe.refund("pi_1", status="failed"), at=9)
    assert works(imported)


def test_a_dispute_of_an_imported_payment_suspends_its_grant(imported: APIClient) -> None:
    dispute = stripe.dispute("pi_1")
    send("charge.dispute.created", dispute)
    assert not works(imported)
    send("charge.dispute.closed", {**dispute, "status": "won"}, at=5)
    assert works(imported)
    send("charge.dispute.updated", dispute, at=6)  # sent before, and arrives late
    assert works(imported)
    send("charge.dispute.closed", {**dispute, "status": "lost"}, at=7)
    assert not works(imported)


def test_a_refund_that_came_before_the_import_is_applied_by_the_worker(
    owner: User, file: Any
) -> None:
    assert send("charge.refunded", stripe.refunded_charge("pi_1")) == EventStatus.UNMATCHED
    run(file(row(paymentIntent="pi_1")))
    call_command("process_events", stdout=StringIO())
    assert not works(bearer(OLD))


def test_a_key_of_another_form_is_a_key_only_where_the_pattern_allows_it(
    owner: User, file: Any, settings: Settings
) -> None:
    run(file(row()))
    assert bearer(OLD).get("/api/conversations").status_code == 200
    assert bearer(OLD + "!").get("/api/conversations").status_code == 401
    assert bearer("old_" + "0" * 30).get("/api/api-keys/verify").status_code == 401
    settings.IMPORTED_KEY_PATTERN = ""
    assert bearer(OLD).get("/api/conversations").status_code == 401
    assert bearer(OLD).get("/api/api-keys/verify").status_code == 401


def test_such_keys_are_redacted_and_found_by_the_search(owner: User, file: Any) -> None:
    run(file(row()))
    for key in (OLD, "acme-0123456789ABCDEF"):
        assert contains_secret(f"key={key}")
        assert redact(f"key={key} ") == f"key={key[:4] if key is OLD else key[:5]}{REDACTED} "
    assert redact("old_ and acme-0123") == "old_ and acme-0123"
    desk = Client()
    desk.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    found = desk.post("/admin/search/", {"q": OLD})
    assert found.headers["Location"] == f"/admin/apikeys/apikey/{ApiKey.objects.get().pk}/"


@pytest.mark.parametrize(
    "pattern",
    [
        *["(a+)+b", "old_.*", "old_[a-z]+", "old_[a-z]*", "old_[a-z]{8}", "old_[a-z]{1,40}"],
        *["[a-z]{32}", "sk_live_[a-z]{32}", "svc_[a-f0-9]{64}", "eyJ[a-z]{32}", "sk_[0-9]{64}"],
        *["old_[a-z]{9,20}[0-9]{9,20}", "old_[z-a]{32}", "old_[a-z]{40,20}", "old_[a-z]{32}|"],
        *["old_[^a]{32}", "old_(?=a)[a-z]{32}", "old_[a-z]{9999}", "a[b]{32}"],
    ],
)
def test_a_pattern_that_may_be_slow_or_takes_others_tokens_is_refused(pattern: str) -> None:
    with pytest.raises(key_forms.UnsafePattern):
        key_forms.check(pattern)


@pytest.mark.parametrize(
    ("pattern", "key", "others"),
    [
        ("old_[a-z0-9]{32}", "old_" + "a" * 32, ["old_" + "a" * 33, "old_" + "A" * 32, "old"]),
        ("k.v1.[a-z]{16,20}", "k.v1." + "a" * 18, ["kxv1." + "a" * 18, "k.v1." + "a" * 21]),
        ("ab-[0-9]{20}|cd-[0-9]{20}Z", "cd-" + "0" * 20 + "Z", ["cd-" + "0" * 20, "xcd-"]),
        ("", "", ["", "sk_"]),
    ],
)
def test_a_pattern_means_what_it_says(
    settings: Settings, pattern: str, key: str, others: list[str]
) -> None:
    key_forms.check(pattern)
    settings.IMPORTED_KEY_PATTERN = pattern
    assert key_forms.is_imported(key) == bool(pattern)
    assert not any(map(key_forms.is_imported, others))


def test_an_erased_person_has_no_imported_keys(owner: User, file: Any) -> None:
    run(file(row(name="Nightly", paymentIntent="pi_1")))
    erase(owner)
    assert not works(bearer(OLD))


@pytest.mark.django_db(transaction=True)
def test_an_export_has_every_row_and_no_password(
    owner: User, conversation: Conversation, file: Any, tmp_path: Path
) -> None:
    key = paid_key(conversation)
    run(file(row(paymentIntent="pi_imported", created="2024-05-01")))
    path, out = tmp_path / "export.ndjson", StringIO()
    call_command("export", path, stdout=out)
    assert path.stat().st_mode & 0o077 == 0
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    tables = [each["table"] for each in rows]
    assert {table: tables.count(table) for table in set(tables)} == {
        "users": 2,
        "conversations": 1,
        "grants": 2,
        "api_keys": 2,
        "orders": 1,
        "imported_payments": 1,
        "stripe_events": 1,
    }
    assert key.key_hash in {each.get("key_hash") for each in rows}
    assert {each["external_id"] for each in rows if each["table"] == "users"} == {"7", None}
    assert all("password" not in each for each in rows)
    assert list(tmp_path.glob("*.unfinished")) == []
    assert rows[0]["date_joined"] == owner.date_joined.astimezone(UTC).isoformat(
        timespec="milliseconds"
    ).replace("+00:00", "Z")


def test_an_export_that_fails_leaves_no_file(tmp_path: Path, owner: User) -> None:
    with pytest.raises(CommandError, match="can't be written"):
        call_command("export", tmp_path / "missing" / "file", stdout=StringIO())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_an_export_is_of_one_moment(tmp_path: Path) -> None:
    """A row that another connection commits meanwhile is not in it."""
    UserFactory.create()
    path = tmp_path / "export"
    added: list[str] = []

    def step(kind: str, count: int) -> None:
        if not added:
            with psycopg.connect(database_url(), autocommit=True) as other:
                other.execute("INSERT INTO users (email) VALUES ('late@example.com')")
                other.execute(
                    "INSERT INTO conversations (user_id, title)"
                    " SELECT id, 'late' FROM users WHERE email = 'late@example.com'"
                )
            added.append(kind)

    exports.write(path, step=step)
    assert [json.loads(line)["table"] for line in path.read_text().splitlines()] == ["users"]
