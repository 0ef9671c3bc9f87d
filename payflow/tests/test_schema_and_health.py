"""The OpenAPI document, the Swagger UI, and the health checks."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from io import StringIO

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from billing.models import EventStatus, StripeEvent
from conversations.models import Conversation
from devtools.management import manage
from testing import stripe_events as stripe


def test_the_schema_validates_without_a_warning() -> None:
    out, err = StringIO(), StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out, stderr=err)
    assert err.getvalue() == ""
    assert yaml.safe_load(out.getvalue())["openapi"].startswith("3.")


def test_the_schema_of_a_fresh_process_names_every_way_to_authenticate() -> None:
    document = yaml.safe_load(manage(os.environ, "spectacular", "--fail-on-warn"))
    assert set(document["components"]["securitySchemes"]) == {"apiKey", "cookieAuth", "jwt"}


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
        for operation in operations.values():
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
def test_readyz_fails_while_an_event_is_stuck(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    StripeEvent.objects.update(status=EventStatus.FAILED)
    assert Client().get("/readyz").status_code == 200  # Stripe retries it within minutes
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(hours=1))
    response = Client().get("/readyz")
    assert response.status_code == 503
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
    assert response.status_code == 503
    expected = "1 stuck, 1 of them parked: a person must look"
    assert response.json()["checks"]["events"] == expected


@pytest.mark.django_db
def test_readyz_shows_unmatched_events_and_stays_ready(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    conversation.delete()
    stripe.deliver(event)
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["unmatched"]) == (200, 1)
