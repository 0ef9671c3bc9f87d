"""Fields of bodies and queries that several apps' views have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

MAX_EXTERNAL_ID_LENGTH = 255
# Any text but control characters.
EXTERNAL_ID_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]{1,255}$"
EXTERNAL_ID_SCHEMA = {"type": "string", "pattern": EXTERNAL_ID_PATTERN}
# A lone surrogate, which JSON can hold, is no character.
_EXTERNAL_ID = re.compile(r"[^\u0000-\u001f\u007f-\u009f\ud800-\udfff]{1,255}")

# As Stripe's.
MAX_MEMBERS, MAX_NAME_LENGTH, MAX_VALUE_LENGTH = 50, 40, 500
_NO_CHARACTER = re.compile(r"[\u0000\ud800-\udfff]")


def is_external_id(text: str) -> bool:
    return _EXTERNAL_ID.fullmatch(text) is not None


@extend_schema_field(EXTERNAL_ID_SCHEMA)
class ExternalIdField(serializers.CharField):
    """The id that another system has for a row of ours."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_length=MAX_EXTERNAL_ID_LENGTH,
            trim_whitespace=False,
            validators=[_validate_external_id],
            **options,
        )


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": MAX_MEMBERS,
        "propertyNames": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_LENGTH,
            "pattern": r"^[^\u0000]*$",
        },
        "additionalProperties": {
            "type": "string",
            "maxLength": MAX_VALUE_LENGTH,
            "pattern": r"^[^\u0000]*$",
        },
    }
)
class MetadataField(serializers.Field[dict[str, str], Any, Any, Any]):
    """A small object of texts, which belongs to the caller and means nothing here."""

    def __init__(self, check: Callable[[str], None] = lambda text: None, **options: Any) -> None:
        """`check` raises ValidationError for a name or a value."""
        super().__init__(**options)
        self._check = check

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict) or len(data) > MAX_MEMBERS:
            raise serializers.ValidationError(
                f"This must be an object with at most {MAX_MEMBERS} members."
            )
        for name, value in data.items():
            _check_text(name, least=1, most=MAX_NAME_LENGTH)
            _check_text(value, least=0, most=MAX_VALUE_LENGTH)
            self._check(name)
            self._check(value)
        return data

    def to_representation(self, value: dict[str, str]) -> Any:
        return value


def _validate_external_id(text: str) -> None:
    if not is_external_id(text):
        raise serializers.ValidationError("This has control characters.", "invalid")


def _check_text(text: Any, *, least: int, most: int) -> None:
    if not isinstance(text, str) or not least <= len(text) <= most or _NO_CHARACTER.search(text):
        raise serializers.ValidationError(
            f"Names have 1 to {MAX_NAME_LENGTH} characters, values are texts of at most "
            f"{MAX_VALUE_LENGTH}, none has a NUL."
        )
