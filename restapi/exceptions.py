"""Exceptions that views raise; `payflow.http.problems` turns them into problem documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import APIException, ValidationError

from restapi.problem_codes import PROBLEM_CODES


class Refused(APIException):
    """The refusal of a service, with the status of its code."""

    wait: float | None = None  # seconds, for Retry-After

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail, code)
        self.status_code = PROBLEM_CODES[code].status


class InvalidParameters(ValidationError):
    """Faults of the query: error messages by the name of the parameter."""

    def __init__(self, errors: Mapping[str, Any]) -> None:
        super().__init__(dict(errors))
