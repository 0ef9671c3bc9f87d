"""No secret in a log line, a traceback or an error report, whoever put it there.

Owns the list of what a secret looks like. A key's first 20 characters stay readable where they
stand alone: they are what keys are told apart by.
"""

from __future__ import annotations

import logging
import re
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

REDACTED = "[redacted]"

# What is kept of a secret (its kind), and what is not. A secret need not begin a word: what stands
# before it may be a line feed that repr() wrote as "n", or a space that a URL wrote as "%20".
_SECRETS = re.compile(
    r"""
      ( [srp]k_(?:live|test)_ | whsec_ ) [A-Za-z0-9+/=_%-]+     # Stripe's keys
    | ( sk_ ) [0-9a-f]{18,}                                     # ours, whole or cut
    | ( _secret_ ) [A-Za-z0-9]{8,}                              # Stripe's client secrets
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# JSON Web Tokens. Looked for once in a run of their characters, from its beginning and without a
# second try, so that nobody can send a text that takes long to read.
_TOKENS = re.compile(
    r"""
    (?<! [A-Za-z0-9_-] ) ( (?> [A-Za-z0-9_-]*? eyJ ) ) [A-Za-z0-9_-]{4,}+
    (?: \. [A-Za-z0-9_-]*+ ){1,2}
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def redact(text: str) -> str:
    """The text with every secret in it replaced by its kind and `[redacted]`; in linear time."""
    return _SECRETS.sub(_kind, _TOKENS.sub(_kind, text))


def _kind(secret: re.Match[str]) -> str:
    return f"{next(filter(None, secret.groups()))}{REDACTED}"


class RedactionFilter(logging.Filter):
    """Redacts a record's message, its traceback and its stack, before they are formatted."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(_message(record)), ()
        if record.exc_info and not record.exc_text:
            # A formatter takes the text where there is one.
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


class RedactingReporterFilter(SafeExceptionReporterFilter):
    """Django's error pages and mails: hidden by name, as Django does, and by looks."""

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> Any:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, _redacted_value(value)) for name, value in variables]


class RedactingExceptionReporter(ExceptionReporter):
    """The report as a whole: the exception's own words, the URL and the query hold secrets too."""

    def get_traceback_html(self) -> SafeString:
        return SafeString(redact(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        return SafeString(redact(super().get_traceback_text()))


def _redacted_value(value: Any) -> Any:
    """The value, or its redacted representation where that holds a secret."""
    try:
        shown = repr(value)
    except Exception:  # the reporter says itself what it cannot show
        return value
    redacted = redact(shown)
    return value if redacted == shown else redacted


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # as logging does, a bad call of a logger stops nothing
        return f"{record.msg} {record.args}"
