"""Log lines carry the ids of what failed, also as JSON; Sentry gets no secret."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from logging import Handler, LogRecord, getLogger
from typing import Any

import pytest
from django.test import Client

from conversations.models import Conversation
from devtools.ports import LOOPBACK
from devtools.service import ROOT
from devtools.settings_for_tests import SETTINGS
from payflow.logs.context import ContextFilter
from payflow.logs.json_lines import JsonFormatter
from payflow.logs.redaction import RedactionFilter
from testing import stripe_events as stripe

SECRET = "sk_" + "b" * 64


class Lines(Handler):
    """Keeps every record as the configured JSON handler writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.addFilter(ContextFilter())
        self.addFilter(RedactionFilter())
        self.setFormatter(JsonFormatter())

    def emit(self, record: LogRecord) -> None:
        self.texts.append(self.format(record))

    def of(self, logger: str) -> list[dict[str, Any]]:
        return [line for text in self.texts if (line := json.loads(text))["logger"] == logger]


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    getLogger().addHandler(handler)
    yield handler
    getLogger().removeHandler(handler)


@pytest.mark.django_db
def test_an_error_names_request_event_conversation_and_order(
    conversation: Conversation, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe.deliver(stripe.completed(conversation))
    order = conversation.orders.get()

    def broken(*_: object) -> None:
        raise RuntimeError(f"with {SECRET}")

    monkeypatch.setattr("billing.fulfilment._sync", broken)
    event = stripe.event("refund.created", stripe.refund(str(order.stripe_payment_intent_id)))
    response = stripe.deliver(event)
    assert response.status_code == 500
    (line,) = lines.of("billing.events.log")
    assert line["level"] == "ERROR"
    assert line["request"] == response["X-Request-Id"]
    assert line["event"] == event["id"]
    assert (line["conversation"], line["order"]) == (conversation.pk, order.pk)
    assert "RuntimeError: with sk_[redacted]" in line["exception"]
    assert SECRET not in "".join(lines.texts)


@pytest.mark.django_db
def test_the_next_request_does_not_inherit_the_ids(
    conversation: Conversation, lines: Lines
) -> None:
    stripe.deliver(stripe.completed(conversation))
    Client().get("/api/orders")
    webhook, orders = lines.of("payflow.http.access_log")
    assert "event" in webhook
    assert "event" not in orders


@pytest.mark.django_db
def test_an_access_line_has_its_fields_and_no_secret(lines: Lines) -> None:
    Client().get(f"/no/{SECRET}?q={SECRET}", headers={"X-Request-Id": "mine"})
    (line,) = lines.of("payflow.http.access_log")
    assert line["request"] == "mine"
    assert line["method"] == "GET"
    assert line["path"] == "/no/sk_[redacted]"
    assert (line["route"], line["status"], line["client"]) == ("-", 404, "127.0.0.1")
    assert line["duration_ms"] >= 0
    assert line["time"].endswith("Z")
    assert SECRET not in "".join(lines.texts)


def test_the_configured_handler_writes_json_if_told_so() -> None:
    code = "import django; django.setup(); import logging; logging.warning('a\\nb %s', 1)"
    done = in_new_process(code, LOG_FORMAT="json")
    (text,) = done.stderr.splitlines()
    assert json.loads(text)["message"] == "a\nb 1"


def in_new_process(code: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {**SETTINGS, "DJANGO_SETTINGS_MODULE": "payflow.settings", **changes}
    done = subprocess.run(  # noqa: S603 - our own code, in our own Python
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**environment, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


class Collector(ThreadingHTTPServer):
    """Takes what Sentry's client sends."""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Envelopes)
        self.bodies: list[str] = []


class Envelopes(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        zipped = self.headers.get("Content-Encoding") == "gzip"
        self.server.bodies.append((gzip.decompress(body) if zipped else body).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


FAIL = f"""
import django; django.setup()
import sentry_sdk
from unittest import mock
from django.test import Client
from payflow import health
def broken(*_):
    password = "hunter2"
    raise RuntimeError("cannot use {SECRET}")
with mock.patch("django.contrib.auth.views.LoginView.get", broken):
    client = Client(raise_request_exception=False)
    client.cookies["other"] = "cookie-of-the-test"
    client.get("/accounts/login/?next={SECRET}", headers={{"Authorization": "Bearer {SECRET}",
        "X-Request-Id": "mine", "Host": "localhost"}})
sentry_sdk.flush(10)
"""


@pytest.mark.http
def test_sentry_gets_the_error_once_with_ids_and_without_secrets() -> None:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        dsn = f"http://public@{LOOPBACK}:{collector.server_port}/1"
        try:
            in_new_process(FAIL, SENTRY_DSN=dsn)
        finally:
            collector.shutdown()
            thread.join()
    events = [
        json.loads(line)
        for body in collector.bodies
        for line in body.splitlines()
        if '"exception"' in line
    ]
    (event,) = events
    assert event["tags"]["request"] == "mine"
    sent = "".join(collector.bodies)
    assert "cannot use sk_[redacted]" in sent
    for hidden in (SECRET, "hunter2", "cookie-of-the-test", SETTINGS["SECRET_KEY"]):
        assert hidden not in sent
