"""The longest password. It is one rule for the API, the admin and the commands."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

MAX_PASSWORD_LENGTH = 128


class MaximumLengthValidator:
    """For `AUTH_PASSWORD_VALIDATORS`: a longer password could be set and not be sent to the API."""

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > MAX_PASSWORD_LENGTH:
            raise ValidationError(self.get_help_text(), "password_too_long")

    def get_help_text(self) -> str:
        return f"Your password can contain at most {MAX_PASSWORD_LENGTH} characters."
