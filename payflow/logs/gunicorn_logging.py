"""gunicorn's access and error logs, redacted."""

from __future__ import annotations

import re
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from payflow.logs.redaction import RedactionFilter

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Redacts both logs, and keeps each request on one line of the access log."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            if not any(isinstance(known, RedactionFilter) for known in handler.filters):
                handler.addFilter(RedactionFilter())

    def atoms(self, *request: Any) -> dict[str, Any]:
        """The fields of an access log line, with control characters escaped."""
        return {name: _escaped(value) for name, value in super().atoms(*request).items()}


def _escaped(value: Any) -> Any:
    if not isinstance(value, str) or value.isprintable():
        return value
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], value)
