from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from conversations.models import Conversation
from testing.clients import bearer

pytestmark = pytest.mark.django_db


def create_demo() -> dict[str, Any]:
    out = StringIO()
    call_command("create_demo", "--json", stdout=out)
    demo: dict[str, Any] = json.loads(out.getvalue())
    return demo


def test_the_demo_user_is_created_once_and_can_sign_in(settings: Settings) -> None:
    settings.DEBUG = True
    demo = create_demo()
    assert bearer(demo.pop("token")).get("/api/conversations").status_code == 200
    assert demo.items() <= create_demo().items()
    assert (User.objects.count(), Conversation.objects.count()) == (1, 1)
    form = {"username": demo["email"], "password": demo["password"]}
    assert Client().post("/accounts/login/", form).status_code == 302


def test_there_is_always_an_unpaid_conversation(settings: Settings) -> None:
    settings.DEBUG = True
    first = create_demo()["conversationId"]
    Conversation.objects.get(pk=first).mark_paid("cs_test_1")
    assert create_demo()["conversationId"] != first


def test_the_demo_user_is_refused_in_production() -> None:
    with pytest.raises(CommandError, match="DEBUG"):
        create_demo()
    assert not User.objects.exists()
