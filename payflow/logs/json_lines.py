"""Log records as JSON, one object a line (`LOG_FORMAT=json`)."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from apikeys.secret_patterns import redact_json


class JsonFormatter(logging.Formatter):
    """Expects records that the context and redaction filters have seen."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        line = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "request": getattr(record, "request_id", "-"),
            **getattr(record, "ids", {}),
            "message": record.getMessage(),
            "exception": record.exc_text,
            "stack": record.stack_info,
            # Of the access log.
            **redact_json(getattr(record, "fields", {})),
        }
        present = {name: value for name, value in line.items() if value is not None}
        return json.dumps(present, ensure_ascii=False, default=str)
