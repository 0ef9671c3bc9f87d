"""Every secret can be rotated: nobody is signed out, and no event is lost."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.tokens import issue_access, issue_refresh
from billing.models import Order
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.clients import bearer

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"
NEW = "the-new-secret-of-the-tests-which-protects-nothing-at-all"


@pytest.fixture
def user(stranger: User) -> User:
    stranger.set_password(PASSWORD)
    stranger.save()
    return stranger


def rotate_secret_key(settings: Settings) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = NEW


def rotate_jwt_secret(settings: Settings) -> None:
    settings.JWT_SECRET_FALLBACKS = [settings.JWT_SECRET]
    settings.JWT_SECRET = NEW


def test_a_session_outlives_the_secret_key(user: User, settings: Settings) -> None:
    browser = Client()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert browser.get("/keys").status_code == 200
    rotate_secret_key(settings)
    assert browser.get("/keys").status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert browser.get("/keys").status_code == 200  # it was signed anew


def test_a_refresh_token_outlives_the_secret_key(user: User, settings: Settings) -> None:
    refresh = issue_refresh(user)
    rotate_secret_key(settings)
    response = Client().post(
        "/api/auth/token/refresh", {"refresh": refresh}, content_type="application/json"
    )
    assert response.status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    response = Client().post(
        "/api/auth/token/refresh", {"refresh": refresh}, content_type="application/json"
    )
    assert response.status_code == 401


def test_tokens_outlive_the_jwt_secret_until_the_fallback_goes(
    user: User, settings: Settings
) -> None:
    old = issue_access(user)
    rotate_jwt_secret(settings)
    assert bearer(old).get("/api/conversations").status_code == 200
    assert bearer(issue_access(user)).get("/api/conversations").status_code == 200
    settings.JWT_SECRET_FALLBACKS = []
    assert bearer(old).get("/api/conversations").status_code == 401


def test_a_former_jwt_secret_signs_nothing_new(user: User, settings: Settings) -> None:
    old_secret = settings.JWT_SECRET
    rotate_jwt_secret(settings)
    fresh = issue_access(user)
    settings.JWT_SECRET, settings.JWT_SECRET_FALLBACKS = old_secret, []
    assert bearer(fresh).get("/api/conversations").status_code == 401


def test_events_of_both_webhook_secrets_are_taken(
    conversation: Conversation, settings: Settings
) -> None:
    body = json.dumps(stripe.completed(conversation))
    signed_with_old = {"Stripe-Signature": stripe.signature(body)}
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", *settings.STRIPE_WEBHOOK_SECRETS]
    answer = Client().post(
        stripe.URL, body, content_type="application/json", headers=signed_with_old
    )
    assert answer.status_code == 200
    assert stripe.deliver(stripe.completed(conversation)).status_code == 200  # the new one
    assert Order.objects.count() == 2
