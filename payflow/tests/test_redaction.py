"""Secrets do not reach a log line, a traceback or an error report."""

from __future__ import annotations

import logging
import runpy
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory
from django.views.debug import ExceptionReporter, get_exception_reporter_class
from gunicorn.config import Config  # type: ignore[import-untyped]
from pytest_django.fixtures import Settings

from payflow.logs.gunicorn_logging import GunicornLogger
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


@pytest.fixture
def server_log(tmp_path: Path) -> Iterator[GunicornLogger]:
    """The logs of gunicorn as gunicorn.conf.py sets them up, both in one file."""
    names = runpy.run_path(str(Path(__file__).parents[2] / "gunicorn.conf.py"))
    config = Config()
    for name in ("logger_class", "access_log_format"):
        config.set(name, names[name])
    for name in ("accesslog", "errorlog"):
        config.set(name, str(tmp_path / "server.log"))
    assert config.logger_class is GunicornLogger
    log = GunicornLogger(config)
    yield log
    for logger in (log.error_log, log.access_log):
        for handler in logger.handlers:
            handler.close()
        logger.handlers.clear()


@pytest.mark.parametrize("secret", SECRETS)
def test_gunicorn_s_errors_show_no_secret(
    server_log: GunicornLogger, secret: str, tmp_path: Path
) -> None:
    for handler in (*server_log.error_log.handlers, *server_log.access_log.handlers):
        handler.close()
    server_log.setup(server_log.cfg)  # as a reload does
    try:
        raise ValueError(f"Invalid header {secret!r}")
    except ValueError:
        server_log.exception("Invalid request from %s: %s", "127.0.0.1", f"a\n{secret}")
    written = (tmp_path / "server.log").read_text()
    assert "Invalid request from 127.0.0.1" in written
    assert "Traceback" in written
    assert secret not in written


@pytest.mark.parametrize("secret", SECRETS)
def test_the_access_log_shows_no_secret_and_no_forged_line(
    server_log: GunicornLogger, secret: str, tmp_path: Path
) -> None:
    path = f"/nope/\n\x1b[2J\x85{secret}"
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": path,
        "PATH_INFO": path,
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    response = SimpleNamespace(status="404 Not Found", sent=2, headers=[])
    server_log.access(response, SimpleNamespace(headers=[]), environ, timedelta(seconds=1))
    written = (tmp_path / "server.log").read_text()
    assert r"GET /nope/\n\x1b[2J\x85" in written
    assert "[redacted]" in written
    assert secret not in written
    assert len(written.splitlines()) == 1
