"""Secrets do not reach a log line, a traceback or an error report."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client, RequestFactory
from django.views.debug import ExceptionReporter, get_exception_reporter_class
from pytest_django.fixtures import Settings

from payflow.logs.redaction import RedactingExceptionReporter, RedactionFilter
from testing.secrets import LOOKS

SECRETS = list(LOOKS.values())


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, StringIO]]:
    """A logger that writes through the filter, as the configured handler does."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(RedactionFilter())
    logger = logging.getLogger("payflow.of-the-test")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, written
    logger.removeHandler(handler)


@pytest.mark.parametrize("secret", SECRETS)
def test_the_filter_redacts_message_arguments_and_traceback(
    log: tuple[logging.Logger, StringIO], secret: str
) -> None:
    logger, written = log
    try:
        raise ValueError(f"cannot use {secret}")
    except ValueError:
        logger.exception("with %s and %r", secret, {"key": secret}, stack_info=True)
    text = written.getvalue()
    assert "ValueError" in text
    assert "Stack (most recent call last)" in text
    assert secret not in text
    assert text.count("[redacted]") == 3


def test_a_bad_logging_call_is_still_redacted(log: tuple[logging.Logger, StringIO]) -> None:
    logger, written = log
    logger.warning("%d", SECRETS[0])
    assert SECRETS[0] not in written.getvalue()
    assert "[redacted]" in written.getvalue()


def test_the_configured_handler_redacts() -> None:
    (handler,) = [h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler]
    assert any(isinstance(known, RedactionFilter) for known in handler.filters)
    assert logging.getLogger("django.server").handlers == []


@pytest.mark.parametrize("secret", SECRETS)
def test_an_error_report_shows_no_secret(secret: str) -> None:
    request = RequestFactory().get(
        "/", {"q": secret}, headers={"Authorization": f"Bearer {secret}"}
    )
    harmless_name = secret
    try:
        raise RuntimeError(harmless_name)
    except RuntimeError:
        reporter = ExceptionReporter(request, *sys.exc_info())
    variables = [
        str(value)
        for frame in reporter.get_traceback_data()["frames"]
        for _, value in frame["vars"]
    ]
    assert variables
    assert not [value for value in variables if secret in value]
    meta = reporter.filter.get_safe_request_meta(request)
    assert secret not in str(meta["HTTP_AUTHORIZATION"])


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("debug", [True, False])
def test_a_whole_error_page_shows_no_secret(secret: str, debug: bool, settings: Settings) -> None:
    settings.DEBUG = debug
    request = RequestFactory().get(f"/keys/{secret}", {"q": f"a\n{secret}"})
    request.COOKIES["plain"] = secret
    reporter_class: Any = get_exception_reporter_class(request)
    assert issubclass(reporter_class, RedactingExceptionReporter)
    try:
        raise RuntimeError(f"no such key\n{secret}")
    except RuntimeError:
        reporter = reporter_class(request, *sys.exc_info())
    for report in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert "no such key" in report
        assert secret not in report
        assert secret[-12:] not in report


@pytest.mark.parametrize("secret", SECRETS)
def test_the_access_log_shows_no_secret_and_no_forged_line(
    log: tuple[logging.Logger, StringIO], secret: str
) -> None:
    _, written = log
    handler = logging.StreamHandler(written)
    handler.addFilter(RedactionFilter())
    access = logging.getLogger("payflow.http.access_log")
    access.addHandler(handler)
    try:
        Client().get(f"/nope/{quote(chr(10))}\x1b[2J\x85{quote(secret)}?token={quote(secret)}")
    finally:
        access.removeHandler(handler)
    text = written.getvalue()
    assert r"GET /nope/\n\x1b[2J\x85" in text
    assert " 404 " in text
    assert "[redacted]" in text
    assert secret not in text
    assert len(text.splitlines()) == 1
