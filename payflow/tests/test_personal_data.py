"""Erasing and exporting a person's data, and what is kept for a time only."""

from __future__ import annotations

import ast
import inspect
import json
import time
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.tokens import issue_access
from billing import erasure, invariants
from billing.models import Dispute, EventStatus, Order, Refund, StripeEvent
from billing.stripe import objects
from conversations.models import Conversation
from support import audit_log
from support.models import SupportAction
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import PASSWORD, ConversationFactory, UserFactory
from testing.keys import issued_key

pytestmark = pytest.mark.django_db

EMAIL = "zoe.quexley@example.com"
NAME = "Zoë Quexley"
PERSON = {
    "email": EMAIL,
    "name": NAME,
    "phone": "+4930123454321",
    "address": {"line1": "Nonesuchweg 7", "city": "Quexburg", "country": "DE"},
}
TRACES = ("quexley", "zoë", "zo\\u00eb", "30123454321", "nonesuchweg", "quexburg")


def run(command: str, *arguments: Any) -> str:
    out = StringIO()
    call_command(command, *map(str, arguments), stdout=out)
    return out.getvalue().strip()


def dump() -> list[str]:
    """Every value of every row of every table, each with the name of its column."""
    values = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - the tables' own names
            columns = [column[0] for column in cursor.description or ()]
            for row in cursor.fetchall():
                values += [
                    f"{table}.{name}: {value}" for name, value in zip(columns, row, strict=True)
                ]
    return values


def traces() -> list[str]:
    return [value for value in dump() if any(trace in value.lower() for trace in TRACES)]


def facts() -> dict[str, Any]:
    """What an erasure and a replay must leave as it is."""
    times = {"updated_at"}
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in times}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in (Order, Refund, Dispute)
    } | {
        "conversations": list(
            Conversation.objects.order_by("pk").values_list("pk", "payment_status")
        ),
        "events": list(StripeEvent.objects.order_by("pk").values_list("pk", "status", "outcome")),
        "grants": list(
            Order.objects.order_by("pk").values_list("grant__revoked_at", "grant__suspended_at")
        ),
    }


@pytest.fixture
def person() -> User:
    """A customer whose data stands in every table that can hold it."""
    user = UserFactory.create(email=EMAIL, name=NAME)
    for events in (_payment, _refunded_payment, _disputed_payment, _declined_payment):
        conversation = ConversationFactory.create(user=user, title=f"Talk with {NAME}")
        for event in events(conversation):
            assert stripe.deliver(event).status_code == 200
    customer = {"id": "cus_1", "object": "customer", **PERSON}
    stripe.deliver(stripe.event("customer.created", customer))
    stripe.deliver(stripe.event("customer.updated", {**customer, "email": None}))
    key = issued_key(Order.objects.earliest("pk"))
    bearer(issue_access(user)).patch(f"/api/api-keys/{key.pk}", {"name": NAME}, format="json")
    staff = UserFactory.create(email="support@staff.example.com", is_staff=True, is_superuser=True)
    desk = Client()
    desk.force_login(staff)
    _act(desk, f"/admin/apikeys/apikey/{key.pk}/revoke_key/", f"{NAME} asked for it")
    other = ConversationFactory.create()
    stripe.deliver(stripe.completed(other))
    grant = other.orders.get().grant_id
    _act(desk, f"/admin/apikeys/grant/{grant}/stop_grant/", f"not {EMAIL}'s")
    desk.post("/admin/apikeys/apikey/export/?q=" + EMAIL)
    form = {"email": EMAIL, "name": NAME, "is_active": "on"}
    assert desk.post(f"/admin/accounts/user/{user.pk}/edit/", form).status_code == 302
    return user


def fail_to_sign_in() -> None:
    Client().post("/accounts/login/", {"username": EMAIL, "password": "wrong"})


def _act(desk: Client, url: str, reason: str) -> None:
    form = desk.get(url).context["form"]
    desk.post(url, {"token": form["token"].value(), "reason": reason})


def _session(conversation: Conversation) -> stripe.Json:
    return stripe.session(
        conversation,
        customer_details=PERSON,
        customer_email=EMAIL,
        customer="cus_1",
        custom_fields=[{"key": "name", "text": {"value": NAME}}],
        shipping_details=PERSON,
        metadata={**stripe.reference(conversation), "name": NAME, "message": NAME},
    )


def _payment(conversation: Conversation) -> list[stripe.Json]:
    session = _session(conversation)
    intent = {
        "id": session["payment_intent"],
        "object": "payment_intent",
        "receipt_email": EMAIL,
        "latest_charge": {"billing_details": PERSON},
    }
    return [
        stripe.event("payment_intent.succeeded", intent),
        stripe.event("checkout.session.completed", session),
        stripe.event("checkout.session.completed", _session(conversation)),  # a duplicate
    ]


def _refunded_payment(conversation: Conversation) -> list[stripe.Json]:
    session = _session(conversation)
    intent = session["payment_intent"]
    charge = stripe.refunded_charge(intent, 500, billing_details=PERSON, receipt_email=EMAIL)
    early = stripe.refund(intent, 500, destination_details={"name": NAME})
    return [
        stripe.event("refund.created", early),
        stripe.event("charge.succeeded", {**charge, "amount_refunded": 0}),
        stripe.event("checkout.session.completed", session),
        stripe.event("charge.refunded", charge),
    ]


def _disputed_payment(conversation: Conversation) -> list[stripe.Json]:
    session = _session(conversation)
    evidence = {
        "customer_email_address": EMAIL,
        "customer_name": NAME,
        "billing_address": "Quexburg",
    }
    dispute = stripe.dispute(session["payment_intent"], evidence=evidence)
    return [
        stripe.event("checkout.session.completed", session),
        stripe.event("charge.dispute.created", dispute),
        stripe.event("charge.dispute.closed", {**dispute, "status": "lost"}),
    ]


def _declined_payment(conversation: Conversation) -> list[stripe.Json]:
    session = _session(conversation)
    declined = stripe.declined_intent(conversation)
    declined["last_payment_error"]["payment_method"] = {"billing_details": PERSON}
    return [
        stripe.event("payment_intent.payment_failed", declined),
        stripe.event("checkout.session.expired", {**session, "payment_status": "unpaid"}),
        stripe.event("checkout.session.async_payment_failed", _session(conversation)),
    ]


def test_nothing_in_the_database_names_an_erased_person(person: User) -> None:
    fail_to_sign_in()
    tables = {value.partition(".")[0] for value in traces()}
    assert tables >= {
        "api_keys",
        "axes_accessattempt",
        "conversations",
        "django_admin_log",
        "stripe_events",
        "support_actions",
        "users",
    }
    assert EMAIL not in run("erase_user", EMAIL.upper())
    assert traces() == []
    before = dump()
    assert run("erase_user", EMAIL) == "No user has this email address: nothing to erase."
    assert dump() == before


def test_sums_orders_and_grants_of_an_erased_person_stay_and_every_event_can_be_replayed(
    person: User,
) -> None:
    before = facts()
    other = Conversation.objects.exclude(user=person).get()
    event = StripeEvent.objects.get(conversation=other)
    run("erase_user", EMAIL)
    assert facts() == before
    assert StripeEvent.objects.get(pk=event.pk).payload == event.payload
    assert Conversation.objects.get(pk=other.pk).title == other.title
    run("replay_events", "--force")
    assert facts() == before
    assert list(invariants.violations()) == []
    assert traces() == []


def test_an_interrupted_erasure_is_finished_by_the_next(
    person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase, calls = erasure.erase, []

    def interrupted(event_id: int) -> None:
        calls.append(event_id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        erase(event_id)

    monkeypatch.setattr(erasure, "erase", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("erase_user", EMAIL)
    assert not User.objects.get(pk=person.pk).is_active
    monkeypatch.undo()
    run("erase_user", EMAIL)
    assert traces() == []


def test_keys_tokens_sessions_and_the_password_of_an_erased_person_end(person: User) -> None:
    person.set_password(PASSWORD)
    person.save()
    key = issued_key(Order.objects.filter(user=person, grant__isnull=False).order_by("pk")[1])
    jwt = bearer(issue_access(person))
    secret = jwt.post(f"/api/api-keys/{key.pk}/reveal").json()["key"]
    browser = Client()
    browser.post("/accounts/login/", {"username": EMAIL, "password": PASSWORD})
    assert browser.get("/").status_code == 200
    assert bearer(secret).get("/api/conversations").status_code == 200
    run("erase_user", EMAIL)
    assert bearer(secret).get("/api/conversations").status_code == 401
    assert jwt.get("/api/conversations").status_code == 401
    assert browser.get("/").status_code == 302
    answer = bearer("").post(
        "/api/auth/token", {"email": EMAIL, "password": PASSWORD}, format="json"
    )
    assert answer.status_code == 401


def test_actions_are_read_a_page_at_a_time_and_sessions_by_their_user(
    person: User, stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "PAGE_SIZE", 2)
    browsers = {user: [Client() for _ in range(3)] for user in (person, stranger)}
    for user, clients in browsers.items():
        for client in clients:
            client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    with CaptureQueriesContext(connection) as context:
        run("erase_user", EMAIL)
    columns = 'SELECT "support_actions"."id", "'
    reads = [query["sql"] for query in context if query["sql"].startswith(columns)]
    pages = [read for read in reads if read.endswith(" LIMIT 2")]
    assert len(pages) > 2
    assert {read for read in reads if not read.endswith((" LIMIT 2", " LIMIT 21"))} == set()
    of_sessions = [query["sql"] for query in context if "browser_sessions" in query["sql"]]
    assert of_sessions
    assert all('"browser_sessions"."user_id"' in sql for sql in of_sessions)
    assert [each.get("/").status_code for each in browsers[person]] == [302] * 3
    assert [each.get("/").status_code for each in browsers[stranger]] == [200] * 3


def test_an_erased_account_cannot_be_activated_again(person: User) -> None:
    run("erase_user", EMAIL)
    desk = Client()
    desk.force_login(User.objects.get(email="support@staff.example.com"))
    erased = User.objects.get(pk=person.pk)
    form = {"email": erased.email, "name": "", "is_active": "on"}
    answer = desk.post(f"/admin/accounts/user/{person.pk}/edit/", form)
    assert "cannot be activated again" in answer.content.decode()
    assert not User.objects.get(pk=person.pk).is_active


def test_events_that_arrive_after_an_erasure_are_erased_by_the_daily_command(person: User) -> None:
    order = Order.objects.filter(user=person, is_duplicate=False).earliest("pk")
    run("erase_user", EMAIL)
    charge = stripe.refunded_charge(order.stripe_payment_intent_id or "", billing_details=PERSON)
    stripe.deliver(stripe.event("charge.refunded", charge))
    stripe.deliver(stripe.event("charge.updated", charge))
    order.refresh_from_db()
    assert order.refunded_at
    assert traces() != []
    assert run("prune_personal_data").endswith(", 2 events erased")
    assert traces() == []
    assert run("prune_personal_data").endswith(", 0 events erased")


def test_every_member_that_a_parser_reads_is_kept() -> None:
    readers = {"get", "_amount", "_currency", "time_of"}
    source = inspect.getsource(objects)
    source = source.replace(inspect.getsource(objects.parse_offer), "")  # no event has a price
    read = {
        argument.value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", getattr(call.func, "id", "")) in readers
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert {"amount_total", "user_id"} <= read
    assert read - {""} <= objects.REPLAYED | objects.REPLAYED_METADATA | {"usd", "payment"}


@pytest.mark.parametrize("name", ["Max", "A", ".*", ""])
def test_a_short_or_odd_name_erases_no_other_text(name: str) -> None:
    staff = UserFactory.create(is_staff=True)
    kept = SupportAction.objects.create(kind="x", actor=staff, reason="Maximum reached, a test")
    user = UserFactory.create(name=name)
    run("erase_user", user.email)
    kept.refresh_from_db()
    assert kept.reason == "Maximum reached, a test"


def test_an_unsettled_event_of_an_erased_person_is_still_handled(
    conversation: Conversation,
) -> None:
    session = stripe.session(conversation, customer_details=PERSON)
    event = stripe.event("checkout.session.completed", session)
    stripe.deliver(event)
    StripeEvent.objects.update(status=EventStatus.FAILED, last_error=f"DataError: {NAME}")
    run("erase_user", conversation.user.email)
    stored = StripeEvent.objects.get()
    assert stored.last_error == "DataError: [erased]"
    run("replay_events")
    stored.refresh_from_db()
    assert stored.status == EventStatus.PROCESSED


def test_an_export_holds_the_persons_data_and_no_hash(person: User) -> None:
    fail_to_sign_in()
    exported = json.loads(run("export_user", EMAIL))
    assert exported["user"]["name"] == NAME
    assert len(exported["orders"]) == Order.objects.filter(user=person).count()
    assert any(event["type"] == "customer.updated" for event in exported["events"])
    assert [each["kind"] for each in exported["supportActions"]] == ["revoke_key"]
    assert exported["failedSignIns"]
    text = json.dumps(exported)
    assert "key_hash" not in text
    assert "pbkdf2" not in text
    with pytest.raises(CommandError):
        run("export_user", "nobody@example.com")


def test_failed_sign_ins_are_deleted_after_a_time(person: User) -> None:
    fail_to_sign_in()
    assert run("prune_personal_data", "--older-than", 1).startswith("0 sign-ins deleted")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(days=2))
    assert not run("prune_personal_data", "--older-than", 1).startswith("0 sign-ins deleted")
    assert not AccessAttempt.objects.exists()
    with pytest.raises(CommandError):
        run("prune_personal_data", "--older-than", 0)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_cached_key_of_an_erased_person_is_refused_within_a_second(
    conversation: Conversation,
) -> None:
    stripe.deliver(stripe.completed(conversation))
    jwt = bearer(issue_access(conversation.user))
    key = issued_key(Order.objects.get())
    client = bearer(jwt.post(f"/api/api-keys/{key.pk}/reveal").json()["key"])
    for _ in range(2):
        assert client.get("/api/api-keys/verify").status_code == 204
    run("erase_user", conversation.user.email)
    ended = asked = time.monotonic()
    while client.get("/api/api-keys/verify").status_code != 401:
        assert asked - ended < 1
        asked = time.monotonic()
