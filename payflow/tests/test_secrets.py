"""No usable key is stored: after a reveal, search for it in tables, logs, sessions and cookies."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from django.apps import apps
from django.core import serializers
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from apikeys.models import ApiKey
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import PASSWORD

pytestmark = pytest.mark.django_db


def whole_database() -> str:
    """Every column of every table, and every row as `dumpdata` prints it."""
    rows: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names from the catalogue
            rows.extend(str(row) for row in cursor.fetchall())
    dump = [
        serializers.serialize("json", model._default_manager.all()) for model in apps.get_models()
    ]
    return "\n".join(rows + dump)


def test_a_revealed_key_is_not_in_the_database_or_the_logs(
    conversation: Conversation,
    api_of: Callable[[User], APIClient],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with caplog.at_level(logging.DEBUG):
        event = stripe.completed(conversation)
        stripe.deliver(event)
        key = ApiKey.objects.get()
        reveal = api_of(conversation.user).post(f"/api/api-keys/{key.pk}/reveal")
        secret = reveal.json()["key"]
        bearer(secret).get("/api/conversations")
        bearer(secret).get("/api/nothing")
        bearer(secret + "0").get("/api/conversations")
        stripe.deliver(event)
        bearer(secret).delete(f"/api/api-keys/{key.pk}")
        bearer(secret).get("/api/conversations")
    captured = capfd.readouterr()
    kept = {
        "database": whole_database(),
        "logs": caplog.text + json.dumps([str(record.__dict__) for record in caplog.records]),
        "output": captured.out + captured.err,
    }
    assert ApiKey.objects.get().key_hash in kept["database"]
    assert event["id"] in kept["database"]
    assert "Unauthorized: /api/conversations" in kept["logs"]
    random_part = secret.removeprefix("sk_")
    for place, text in kept.items():
        assert secret not in text, place
        assert random_part[20:] not in text, place


def test_a_revealed_key_is_not_in_the_session_or_a_cookie(
    conversation: Conversation,
) -> None:
    user = conversation.user
    user.set_password(PASSWORD)
    user.save()
    stripe.deliver(stripe.completed(conversation))
    client = Client()
    client.post("/accounts/login/", {"username": user.email, "password": PASSWORD})
    key = ApiKey.objects.get()
    response = client.post(f"/keys/{key.pk}/reveal")
    secret = response.context["secret"]
    assert secret in response.content.decode()
    assert secret not in str(dict(client.session))
    assert secret not in str(client.cookies)
    assert secret not in str(response.headers)
    assert secret not in whole_database()


def test_a_replayed_payment_issues_no_key(
    conversation: Conversation, api_of: Callable[[User], APIClient]
) -> None:
    event = stripe.completed(conversation)
    stripe.deliver(event)
    key = ApiKey.objects.get()
    secret = api_of(conversation.user).post(f"/api/api-keys/{key.pk}/reveal").json()["key"]
    stripe.deliver(event)
    stripe.deliver(
        stripe.event("checkout.session.async_payment_succeeded", event["data"]["object"])
    )
    assert ApiKey.objects.count() == 1
    assert bearer(secret).get("/api/conversations").status_code == 200
