"""Puts the ids of the request, event, conversation and order on each log record."""

from __future__ import annotations

import logging

from billing import log_context
from payflow.http import request_id


class ContextFilter(logging.Filter):
    """Sets `ids`, and `context`, the same as text: "3f2a… event=evt_1 conversation=7"."""

    def filter(self, record: logging.LogRecord) -> bool:
        request, ids = request_id.current(), log_context.current()
        record.request_id, record.ids = request, ids
        record.context = " ".join([request, *(f"{name}={value}" for name, value in ids.items())])
        return True
