"""Secrets do not reach a log line, a traceback or an error report."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from django.test import RequestFactory
from django.views.debug import ExceptionReporter

from apikeys import tokens
from payflow.redaction import RedactionFilter, redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
SECRETS = [
    "sk_" + "0123456789abcdef" * 4,
    "sk_" + "0123456789abcdef" * 2,
    "sk_live_51Habcdefghijklmnop",
    "sk_test_of_the_tests",
    "rk_live_51Habcdefghijklmnop",
    "pk_test_51Habcdefghijklmnop",
    "whsec_0123456789/+abc=",
    JWT,
    "pi_3abc_secret_0123456789abcdef",
]


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
@pytest.mark.parametrize("around", ["{}", "Bearer {}", "key='{}',", '{{"k": "{}"}}', "a/{}?b"])
def test_a_secret_is_cut_down_to_its_kind(secret: str, around: str) -> None:
    redacted = redact(around.format(secret))
    assert secret[-12:] not in redacted
    assert "[redacted]" in redacted


@pytest.mark.parametrize(
    "text",
    [
        "sk_0123456789abcdef0",
        "cs_test_a1b2c3",
        "price_sandbox_premium",
        "evt_1 pi_2",
        "task_0123456789abcdefabcdef",
        "/api/api-keys/verify",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_a_key_s_prefix_stays_readable() -> None:
    prefix = tokens.prefix(tokens.generate())
    assert redact(f"key {prefix}… was deleted") == f"key {prefix}… was deleted"


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
