"""JSON bodies of requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

_JSON_TYPES: dict[type[serializers.Field[Any, Any, Any, Any]], tuple[type, str]] = {
    serializers.CharField: (str, "a string"),
    serializers.DateTimeField: (str, "a string"),
    serializers.IntegerField: (int, "an integer"),
    serializers.BooleanField: (bool, "true or false"),
}


class RequestBody(serializers.Serializer[Any]):
    """A body whose values must have the JSON type of their field.

    DRF's fields convert: `0` would be the title "0". Members without a field are ignored.
    """

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """The validated members of the request's body. Raises ValidationError."""
        body = cls(data=request.data)
        body.is_valid(raise_exception=True)
        validated: dict[str, Any] = body.validated_data
        return validated

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            data = {name: _normal(value) for name, value in data.items()}
            faults = {name: _fault(field, data.get(name)) for name, field in self.fields.items()}
            if found := {name: [fault] for name, fault in faults.items() if fault}:
                raise serializers.ValidationError(found)
        return super().to_internal_value(data)


def _normal(value: Any) -> Any:
    """JSON has one type of number: 1.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fault(field: Any, value: Any) -> serializers.ErrorDetail | None:
    """What is wrong with a value before DRF converts it; None is DRF's to refuse."""
    if value is None:
        return None
    wanted, name = next(
        (found for kind, found in _JSON_TYPES.items() if isinstance(field, kind)), (object, "")
    )
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return serializers.ErrorDetail(f"This must be {name}.", "invalid")
    limit = getattr(field, "max_length", None)
    if limit and len(str(value)) > limit:  # with the spaces that are trimmed
        return serializers.ErrorDetail(f"This is longer than {limit} characters.", "max_length")
    return None
