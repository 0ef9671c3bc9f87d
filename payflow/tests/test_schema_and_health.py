"""The OpenAPI document, the Swagger UI, and the health checks."""

from __future__ import annotations

import itertools
import os
import re
import time
from datetime import timedelta
from io import StringIO

import pytest
import yaml
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing.models import EventStatus, StripeEvent
from conversations.models import Conversation
from devtools.management import manage
from payflow import health
from testing import stripe_events as stripe


def test_the_schema_validates_without_a_warning() -> None:
    out, err = StringIO(), StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out, stderr=err)
    assert err.getvalue() == ""
    assert yaml.safe_load(out.getvalue())["openapi"].startswith("3.")


def test_the_schema_of_a_fresh_process_names_every_way_to_authenticate() -> None:
    document = yaml.safe_load(manage(os.environ, "spectacular", "--fail-on-warn"))
    assert set(document["components"]["securitySchemes"]) == {
        *("apiKey", "jwt", "session", "stripeSignature", "metricsToken", "serviceToken")
    }


def test_the_schema_names_the_contracts_routes_and_problems() -> None:
    document = Client().get("/api/schema", {"format": "json"}).json()
    assert {
        "/api/payments/link",
        "/api/api-keys",
        "/api/api-keys/{id}",
        "/api/api-keys/{id}/reveal",
        "/api/conversations",
        "/api/conversations/{id}",
        "/api/orders",
        "/api/orders/{id}",
        "/api/auth/token",
        "/api/auth/token/refresh",
    } <= set(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values() if path.startswith("/api/") else ():
            assert "application/problem+json" in str(operation["responses"]), path
    keys = document["paths"]["/api/api-keys"]["get"]["responses"]["200"]["content"]
    assert keys["application/json"]["schema"] == {"$ref": "#/components/schemas/ApiKeyList"}


@pytest.mark.django_db
def test_the_swagger_ui_loads_nothing_from_another_host() -> None:
    response = Client().get("/api/docs")
    assert response.status_code == 200
    page = response.content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    assert all(source.startswith("/") for source in sources)
    assert not re.search(r"<script(?![^>]*src)", page)
    client = Client()
    for source in sources:
        answer = client.get(source)
        assert answer.status_code == 200
        answer.close()


def test_healthz_needs_no_database() -> None:
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readyz_names_its_checks() -> None:
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "events": "ok"},
        "unmatched": 0,
    }


@pytest.mark.django_db
def test_readyz_is_degraded_and_ready_while_an_event_is_stuck(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    StripeEvent.objects.update(status=EventStatus.FAILED)
    assert Client().get("/readyz").status_code == 200  # Stripe retries it within minutes
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(hours=1))
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["checks"]["events"] == "1 stuck"


@pytest.mark.django_db
def test_readyz_counts_parked_events_apart() -> None:
    event = stripe.event("customer.created", {"id": "cus_1", "object": "customer"})
    stripe.deliver(event)
    hour_ago = timezone.now() - timedelta(hours=1)
    StripeEvent.objects.update(
        status=EventStatus.FAILED, created_at=hour_ago, parked_at=timezone.now()
    )
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    expected = "1 stuck, 1 of them parked: a person must look"
    assert response.json()["checks"]["events"] == expected


@pytest.mark.django_db
def test_readyz_shows_unmatched_events_and_stays_ready(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    conversation.delete()
    stripe.deliver(event)
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["unmatched"]) == (200, 1)


@pytest.mark.django_db
def test_readyz_counts_what_the_event_log_counts(admin_client: Client) -> None:
    now = timezone.now()
    for number, (status, age, parked) in enumerate(
        itertools.product(EventStatus, (timedelta(0), timedelta(hours=1)), (None, now))
    ):
        StripeEvent.objects.create(
            event_id=f"evt_{number}", type="x", payload={}, status=status, parked_at=parked
        )
        StripeEvent.objects.filter(event_id=f"evt_{number}").update(created_at=now - age)
    stuck = StripeEvent.objects.stuck()
    parked_count = stuck.filter(parked_at__isnull=False).count()
    unmatched = StripeEvent.objects.filter(status=EventStatus.UNMATCHED).count()
    body = Client().get("/readyz").json()
    expected = f"{stuck.count()} stuck, {parked_count} of them parked: a person must look"
    assert (body["checks"]["events"], body["unmatched"]) == (expected, unmatched)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [EventStatus.FAILED, EventStatus.UNMATCHED])
def test_an_event_that_staff_have_handled_counts_no_more(
    admin_client: Client, status: EventStatus
) -> None:
    event = StripeEvent.objects.create(event_id="evt_1", type="x", payload={}, status=status)
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(hours=1))
    before = Client().get("/readyz").json()
    assert (before["status"], before["unmatched"]) in (("degraded", 0), ("ok", 1))
    url = reverse("admin:billing_stripeevent_action", args=[event.pk, "mark_handled"])
    form = admin_client.get(url).context["form"]
    fields = {name: form[name].value() or "" for name in form.fields}
    assert admin_client.post(url, {**fields, "reason": "The order is right."}).status_code == 302
    after = Client().get("/readyz").json()
    assert (after["status"], after["checks"]["events"], after["unmatched"]) == ("ok", "ok", 0)


@pytest.mark.django_db
def test_readyz_is_one_query_and_compares_the_migrations_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    health.MIGRATIONS.forget()
    assert Client().get("/readyz").status_code == 200
    with CaptureQueriesContext(connection) as queries:
        assert Client().get("/readyz").status_code == 200
    assert len(queries) == 1
    monkeypatch.setattr(health.MIGRATIONS, "_applied_until", time.monotonic())
    with CaptureQueriesContext(connection) as queries:
        assert Client().get("/readyz").status_code == 200
    assert len(queries) > 1


@pytest.mark.django_db
def test_readyz_is_503_until_every_migration_is_applied() -> None:
    health.MIGRATIONS.forget()
    recorded = MigrationRecorder.Migration.objects.filter(app="billing", name="0001_initial")
    recorded.update(name="0000_another")
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert "not applied" in response.json()["checks"]["migrations"]
    MigrationRecorder.Migration.objects.filter(name="0000_another").update(name="0001_initial")
    assert Client().get("/readyz").status_code == 200  # it was not remembered


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_readyz_is_503_while_the_database_is_read_only() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == "read-only"
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
    assert Client().get("/readyz").status_code == 200
