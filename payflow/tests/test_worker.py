"""`manage.py run_worker`: each job does its work, an error ends no worker, SIGTERM does."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError
from django.utils import timezone
from pytest_django.fixtures import Settings

from billing.models import EventStatus, Order, StripeEvent
from conversations.models import Conversation
from devtools.pytest_postgres import database_url
from devtools.service import ROOT
from devtools.settings_for_tests import SETTINGS
from payflow import worker
from sandbox.testing import running
from testing import stripe_events as stripe

WITHIN = 60.0


@pytest.mark.django_db
def test_it_retries_failed_events(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    StripeEvent.objects.create(
        event_id=event["id"], type=event["type"], payload=event, status=EventStatus.FAILED
    )
    assert list(worker.retry_events()) == ["processed"]
    assert Order.objects.count() == 1
    assert list(worker.retry_events()) == []


@pytest.mark.http
@pytest.mark.django_db
def test_it_asks_stripe_for_unsettled_payments(
    conversation: Conversation, settings: Settings
) -> None:
    Conversation.objects.filter(pk=conversation.pk).update(
        payment_status="pending",
        stripe_session_id="cs_test_gone",
        updated_at=timezone.now() - timedelta(hours=1),
    )
    with running(webhook="http://127.0.0.1:9/", retry_delays=(), ack_timeout=0.1) as sandbox:
        settings.STRIPE_API_BASE = sandbox.url
        assert list(worker.reconcile_payments()) == ["unknown to Stripe"]
        sandbox.add_fault(path="/v1/checkout/sessions/cs_test_gone", status=400)
        assert list(worker.reconcile_payments()) == ["failed"]


@pytest.mark.django_db
def test_it_deletes_expired_sessions() -> None:
    store = import_module(django_settings.SESSION_ENGINE).SessionStore
    kept, expired = store(), store()
    for session, age in ((kept, 60), (expired, -60)):
        session.set_expiry(age)
        session.create()
    worker.run(worker.Job("expired sessions", timedelta(days=1), worker.delete_expired_sessions))
    assert store().exists(kept.session_key)
    assert not store().exists(expired.session_key)


@pytest.mark.parametrize(
    ("error", "tracebacks"), [(OperationalError("gone"), 0), (ValueError("a bug"), 1)]
)
@pytest.mark.django_db
def test_an_error_ends_the_round_and_not_the_worker(
    error: Exception, tracebacks: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Iterator[str]:
        yield "done"
        raise error

    with caplog.at_level(logging.INFO):
        worker.run(worker.Job("of the test", timedelta(seconds=15), fail))
    assert "The job of the test failed and is tried again in 0:00:15" in caplog.text
    assert "of the test: 1 done" in caplog.text
    assert caplog.text.count("Traceback") == tracebacks


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_sigterm_ends_it_with_status_0(conversation: Conversation) -> None:
    event = stripe.completed(conversation)
    StripeEvent.objects.create(
        event_id=event["id"], type=event["type"], payload=event, status=EventStatus.FAILED
    )
    environment = {**SETTINGS, "PATH": os.environ["PATH"], "DATABASE_URL": database_url()}
    environment["STRIPE_API_BASE"] = "http://127.0.0.1:9"  # nothing may leave the machine
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_worker"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + WITHIN
    while StripeEvent.objects.get().status != EventStatus.PROCESSED:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=WITHIN)
    assert (process.returncode, out) == (0, "stopped\n")
