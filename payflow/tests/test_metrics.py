"""`/metrics`: who may read it, what it counts, and that processes count together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from apikeys import services
from apikeys.models import Grant
from billing.models import CheckoutSettings, EventStatus, Order, StripeEvent
from conversations.models import Conversation
from devtools.service import ROOT
from notifications import endpoints, events, outbox
from notifications.models import Delivery, Notification
from payflow import metrics
from support import open_work
from support.management.commands import check_audit_log  # noqa: F401 - for its metrics
from testing import stripe_events as stripe
from testing.keys import paid_key

TOKEN = "metrics-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
# What waits for staff, in support.open_work, and the alerts that say so.
ALERTS_OF_OPEN_WORK = {
    "DUPLICATES_TO_REFUND": {"PayflowOrdersToRefund"},
    "FRAUD_WARNINGS": {"PayflowFraudWarnings"},
    "DISPUTES_TO_ANSWER": {"PayflowDisputesToAnswer"},
    "IMPORTED_TO_ANSWER": {"PayflowDisputesToAnswer"},
    "IN_DISPUTE": set(),  # answered, or one of those to answer
    "ORDERS_TO_REVIEW": {"PayflowOrdersToReview"},
    # An endpoint that fails has events that wait, until it is disabled.
    "FAILING_ENDPOINTS": {"PayflowWebhooksWait", "PayflowWebhookEndpointDisabled"},
    "UNSETTLED": {"PayflowEventsNotSettled", "PayflowEventsUnmatched", "PayflowEventsParked"},
    "WAITING_EVENTS": {"PayflowEventsNotSettled", "PayflowEventsUnmatched", "PayflowEventsParked"},
}
# The same for the cards of the dashboard that link to a list.
ALERTS_OF_CARDS = {
    "Disputes to answer": {"PayflowDisputesToAnswer"},
    "Fraud warnings": {"PayflowFraudWarnings"},
    "Duplicates to refund": {"PayflowOrdersToRefund"},
    "Orders to review": {"PayflowOrdersToReview"},
    "Events waiting": {"PayflowEventsNotSettled", "PayflowEventsUnmatched", "PayflowEventsParked"},
    "Mail not delivered, 30 days": {"PayflowMailGivenUp", "PayflowMailBounced"},
    "Webhooks": {"PayflowWebhooksWait", "PayflowWebhookEndpointDisabled"},
    # Nothing to do: what customers and their banks did, and what staff chose.
    "Failures, 7 days": set(),
    "Refunds, 30 days": set(),
    "Checkout": set(),
    "Open disputes": set(),  # those to answer have their own
}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def token(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN


def scrape() -> dict[str, float]:
    """The value of each sample, by its name and its labels in alphabetical order."""
    response = Client().get("/metrics", headers=BEARER)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    return parsed(response.content.decode())


def parsed(text: str) -> dict[str, float]:
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def test_without_a_token_in_the_settings_there_is_no_such_page(settings: Settings) -> None:
    settings.METRICS_TOKEN = ""
    assert Client().get("/metrics").status_code == 404
    assert Client().get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", TOKEN, f"Bearer {TOKEN}é"])
def test_with_another_token_it_is_a_401(header: str) -> None:
    response = Client().get("/metrics", headers={"Authorization": header})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert b"payflow" not in response.content


@pytest.mark.django_db(transaction=True)
def test_a_payment_is_counted_at_each_step(conversation: Conversation) -> None:
    before = scrape()
    key = paid_key(conversation)
    _, secret = services.reveal(user_id=key.user_id, key_id=key.pk)
    client = Client()
    bearer = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/api-keys/verify", headers=bearer).status_code == 204
    services.revoke(key.pk, reason="lost")
    assert client.get("/api/api-keys/verify", headers=bearer).status_code == 401
    after = scrape()
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    assert {
        "payflow_events_handled_total{status=processed,type=checkout.session.completed}": 1,
        "payflow_keys_total{change=issued}": 1,
        "payflow_keys_total{change=revealed}": 1,
        "payflow_keys_total{change=revoked}": 1,
        "payflow_key_verifications_total{result=accepted}": 1,
        "payflow_key_verifications_total{result=refused}": 1,
        "payflow_orders{status=completed}": 1,
        "payflow_http_requests_total{method=GET,route=/api/api-keys/verify,status=204}": 1,
        "payflow_http_requests_total{method=POST,route=/api/webhooks/stripe,status=200}": 1,
        "payflow_http_request_duration_seconds_count{method=GET,route=/api/api-keys/verify}": 2,
    }.items() <= grown.items()
    assert after["payflow_database_up"] == 1


@pytest.mark.django_db(transaction=True)
def test_a_refund_counts_the_keys_that_it_revokes(conversation: Conversation) -> None:
    paid_key(conversation)
    intent = str(conversation.orders.get().stripe_payment_intent_id)
    before = scrape()["payflow_keys_total{change=revoked}"]
    stripe.deliver(stripe.event("refund.created", stripe.refund(intent)))
    assert scrape()["payflow_keys_total{change=revoked}"] == before + 1


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_not_counted(conversation: Conversation) -> None:
    before = scrape()
    event = stripe.completed(conversation)
    event["data"]["object"]["amount_total"] = "2000"  # its handler raises
    stripe.deliver(event)
    after = scrape()
    assert after["payflow_keys_total{change=issued}"] == before["payflow_keys_total{change=issued}"]
    failed = "payflow_events_handled_total{status=failed,type=checkout.session.completed}"
    assert after[failed] == before.get(failed, 0) + 1


def test_unsettled_events_are_counted_with_the_age_of_the_oldest(
    conversation: Conversation,
) -> None:
    assert scrape()["payflow_events_oldest_unsettled_seconds"] == 0
    stripe.deliver(stripe.completed(conversation))
    hour_ago = timezone.now() - timedelta(hours=1)
    StripeEvent.objects.update(
        status=EventStatus.FAILED, created_at=hour_ago, parked_at=timezone.now()
    )
    found = scrape()
    assert found["payflow_events_unsettled{status=failed,type=checkout.session.completed}"] == 1
    assert 3600 <= found["payflow_events_oldest_unsettled_seconds"] < 3700
    assert found["payflow_events_parked"] == 1


def test_work_for_staff_is_counted(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    stripe.deliver(stripe.completed(conversation))
    assert scrape()["payflow_orders_to_refund"] == 1
    paid = Order.objects.get(is_duplicate=False)
    assert scrape()["payflow_orders_to_review"] == 2  # no link of ours was paid
    assert scrape()["payflow_fraud_warnings"] == 0
    stripe.deliver(stripe.fraud_warning(str(paid.stripe_payment_intent_id)))
    assert scrape()["payflow_fraud_warnings"] == 1
    dispute = stripe.dispute(str(paid.stripe_payment_intent_id))
    stripe.deliver(stripe.event("charge.dispute.created", dispute))
    found = scrape()
    assert found["payflow_disputes_to_answer"] == 1
    assert found["payflow_fraud_warnings"] == 0  # it has become the dispute
    assert found["payflow_orders_to_refund"] == 1


def test_methods_and_routes_are_bounded() -> None:
    client = Client()
    client.generic("BREW", "/api/orders/7")
    client.get("/no/such/page")
    client.get("/static/payflow/style.css").close()
    found = scrape()
    assert (
        found["payflow_http_requests_total{method=other,route=/api/orders/<int:pk>,status=401}"] > 0
    )
    assert found["payflow_http_requests_total{method=GET,route=-,status=404}"] > 0
    assert found["payflow_http_requests_total{method=GET,route=/static/,status=200}"] > 0
    assert not [name for name in found if "/7" in name or "/no/such" in name]


def test_a_scrape_asks_the_database_a_fixed_number_of_times(conversation: Conversation) -> None:
    with CaptureQueriesContext(connection) as few:
        scrape()
    for _ in range(5):
        stripe.deliver(stripe.completed(conversation))
    with CaptureQueriesContext(connection) as many:
        scrape()
    assert len(many) == len(few) <= 11


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_work_for_staff_is_found_by_partial_indexes(conversation: Conversation) -> None:
    make_orders(conversation, completed=3000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders, stripe_events")
    with CaptureQueriesContext(connection) as queries:
        scrape()
    (sql,) = (query["sql"] for query in queries if "fraud_warning_at" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    for index in ("duplicate", "with_fraud_warning", "needs_review"):
        assert f" using orders_{index} " in plan, plan
    assert "Seq Scan on orders" not in plan, plan


@pytest.mark.django_db(transaction=True)
def test_the_last_check_of_the_invariants_is_shown(conversation: Conversation) -> None:
    key = paid_key(conversation)
    began = time.time()
    call_command("check_invariants", stdout=StringIO())
    found = scrape()
    assert found["payflow_invariants_broken"] == 0
    assert began <= found["payflow_invariants_checked_timestamp_seconds"] <= time.time()
    Grant.objects.filter(pk=key.grant_id).update(revoked_at=timezone.now())
    with pytest.raises(CommandError):
        call_command("check_invariants", stdout=StringIO())
    assert scrape()["payflow_invariants_broken"] > 0


def test_the_last_check_outlives_its_process(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def run(code: str) -> dict[str, float]:
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)  # noqa: S603
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]
        return parsed(generate_latest(registry).decode())

    never = run("import billing.metrics")
    assert not [name for name in never if "invariants" in name]
    check = "from billing import metrics; metrics.record_check(broken={})"
    for broken in (2, 0, 1):
        assert run(check.format(broken))["payflow_invariants_broken"] == broken
    later = run("import billing.metrics")
    assert later["payflow_invariants_broken"] == 1
    assert later["payflow_invariants_checked_timestamp_seconds"] > 0


def make_orders(conversation: Conversation, **numbers: int) -> None:
    """So many orders of each status."""
    Order.objects.bulk_create(
        Order(
            user=conversation.user,
            conversation=conversation,
            stripe_session_id=f"cs_{status}_{number}",
            amount_cents=1,
            status=status,
        )
        for status, count in numbers.items()
        for number in range(count)
    )


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_exceptions_are_counted_up_to_a_number_and_then_estimated(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_orders(conversation, failed=300, pending=5, completed=695)
    monkeypatch.setattr(metrics, "_COUNTED_UP_TO", 0)
    monkeypatch.setattr(metrics, "_MOST_COUNTED", 100)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders")
    recent = ("cs_failed_1", "cs_failed_2", "cs_pending_1")
    Order.objects.filter(stripe_session_id__in=recent).update(status="completed")
    found = scrape()
    assert found["payflow_orders{status=failed}"] == 300  # as of the last ANALYZE
    assert found["payflow_orders{status=pending}"] == 4


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_orders_of_a_large_table_are_estimated_and_exceptions_counted(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_orders(conversation, pending=1, completed=999)
    monkeypatch.setattr(metrics, "_COUNTED_UP_TO", 0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orders")
    Order.objects.filter(stripe_session_id="cs_completed_1").update(status="failed")
    with CaptureQueriesContext(connection) as queries:
        found = scrape()
    assert found["payflow_orders{status=completed}"] == pytest.approx(999, rel=0.01)
    assert found["payflow_orders{status=pending}"] == 1
    assert found["payflow_orders{status=failed}"] == 1
    counted = [
        query["sql"]
        for query in queries
        if 'FROM "orders"' in query["sql"] and "COUNT" in query["sql"]
    ]
    assert counted
    for sql in counted:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Index" in plan, plan


def test_without_a_database_the_rest_is_still_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any, **__: Any) -> Any:
        raise DatabaseError

    monkeypatch.setattr(metrics, "_events", unavailable)
    found = scrape()
    assert found["payflow_database_up"] == 0
    assert "payflow_keys_total{change=issued}" in found


def test_mail_and_webhooks_that_wait_are_measured(conversation: Conversation) -> None:
    endpoint, _ = endpoints.add("https://hooks.example.com/")
    paid_key(conversation)
    events.number()
    hour_ago = timezone.now() - timedelta(hours=1)
    Delivery.objects.update(created_at=hour_ago)
    Notification.objects.waiting().update(mail_due_at=hour_ago)
    with transaction.atomic():
        outbox.record("key.waiting", "1", user_id=conversation.user_id)
    Notification.objects.filter(kind="key.waiting").update(mail_status="bounced", mail_due_at=None)
    found = scrape()
    assert found["payflow_mail_waiting"] == 1
    assert found["payflow_mail_overdue_seconds"] >= 3600
    assert found["payflow_mail_undelivered{status=bounced}"] == 1
    assert found["payflow_mail_undelivered{status=failed}"] == 0
    assert found["payflow_webhook_deliveries_waiting"] == 2
    assert found["payflow_webhook_deliveries_oldest_seconds"] >= 3600
    endpoints.disable(endpoint.pk, "It failed.")
    found = scrape()
    assert found["payflow_webhook_deliveries_waiting"] == 0
    assert found["payflow_webhook_endpoints_disabled"] == 1


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_about_metrics_that_exist_and_has_a_runbook(rule: dict[str, Any]) -> None:
    text = Client().get("/metrics", headers=BEARER).content.decode()
    families = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    named = set(re.findall(r"payflow_\w+", rule["expr"].replace("_bucket{", "{")))
    assert named <= families
    assert named or "up{" in rule["expr"] or "node_systemd_unit_state{" in rule["expr"]
    runbook = (ROOT / "docs" / "operations.md").read_text()
    assert f"### {rule['alert']}\n" in runbook
    assert rule["annotations"]["runbook"].endswith(f"docs/operations.md#{rule['alert'].lower()}")


def test_whatever_waits_for_staff_has_an_alert() -> None:
    conditions = {name for name, value in vars(open_work).items() if isinstance(value, Q)}
    assert conditions == set(ALERTS_OF_OPEN_WORK)
    known = {rule["alert"] for rule in alert_rules()}
    for named in (*ALERTS_OF_OPEN_WORK.values(), *ALERTS_OF_CARDS.values()):
        assert named <= known


def test_each_card_of_the_dashboard_that_links_to_a_list_has_an_alert(
    admin_client: Client, conversation: Conversation
) -> None:
    """With the cards that are shown only when there is something to do."""
    stripe.deliver(stripe.completed(conversation))
    stripe.deliver(stripe.completed(conversation))
    first, second = Order.objects.values_list("stripe_payment_intent_id", flat=True)
    stripe.deliver(stripe.fraud_warning(str(first)))
    inquiry = stripe.dispute(str(second), "warning_needs_response")
    stripe.deliver(stripe.event("charge.dispute.created", inquiry))
    endpoint, _ = endpoints.add("https://hooks.example.com/")
    endpoints.disable(endpoint.pk, "It failed.")
    CheckoutSettings.objects.current()
    CheckoutSettings.objects.close_to_new_customers()
    shown = admin_client.get("/admin/").context["cards"]
    assert {card.label for card in shown if card.url} == set(ALERTS_OF_CARDS)
