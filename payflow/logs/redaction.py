"""Redacts secrets from log lines, tracebacks and error reports."""

from __future__ import annotations

import logging
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from apikeys.secret_patterns import redact


class RedactionFilter(logging.Filter):
    """Redacts a record's message, its traceback and its stack, before they are formatted."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(_message(record)), ()
        if record.exc_info and not record.exc_text:
            # A formatter uses this text if there is one.
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


class RedactingReporterFilter(SafeExceptionReporterFilter):
    """Hides values in Django's error pages and mails by name, as Django does, and by their look."""

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> Any:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, _redacted_value(value)) for name, value in variables]


class RedactingExceptionReporter(ExceptionReporter):
    """Redacts the whole report: exception messages, the URL and the query may hold secrets too."""

    def get_traceback_html(self) -> SafeString:
        return SafeString(redact(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        return SafeString(redact(super().get_traceback_text()))


def _redacted_value(value: Any) -> Any:
    """The value; or its redacted representation, if that holds a secret."""
    try:
        shown = repr(value)
    except Exception:  # the reporter handles what it cannot show
        return value
    redacted = redact(shown)
    return value if redacted == shown else redacted


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # as in logging, a wrong logging call must not stop the program
        return f"{record.msg} {record.args}"
