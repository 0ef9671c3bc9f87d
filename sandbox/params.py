"""Typed access to request parameters, with Stripe's errors for invalid values.

Stripe docs: https://docs.stripe.com/error-codes and https://docs.stripe.com/api/metadata (limits).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from yarl import URL

from sandbox.errors import invalid, parameter_missing
from sandbox.json_types import JsonObject
from sandbox.money import CURRENCIES

_LONGEST_TEXT = 5000
_METADATA_KEYS = 50
_INDEX = re.compile(r"\d{1,9}", re.ASCII)
_METADATA_KEY_LENGTH = 40
_METADATA_VALUE_LENGTH = 500


class Params:
    """The parameters of a request, or of an object inside it."""

    def __init__(self, values: JsonObject, path: str = "", read: set[str] | None = None) -> None:
        self._values = values
        self._path = path
        self._read: set[str] = set() if read is None else read
        """The full names of the parameters that were read, shared with nested objects."""

    def name_of(self, key: str) -> str:
        """The full name of a parameter, for errors."""
        return f"{self._path}[{key}]" if self._path else key

    def has(self, key: str) -> bool:
        """Whether a parameter was sent, even empty."""
        return key in self._values

    def sent(self, key: str) -> object:
        """A parameter as sent, to be handed on."""
        return self._get(key)

    def all_sent(self) -> JsonObject:
        """All parameters as sent, to be used again."""
        return self._values

    def is_object(self, key: str) -> bool:
        """Whether a parameter was sent as an object."""
        return isinstance(self._values.get(key), dict)

    def without(self, *keys: str) -> Params:
        """A copy without these parameters."""
        kept = {name: value for name, value in self._values.items() if name not in keys}
        return Params(kept, self._path, self._read)

    def unread(self) -> list[str]:
        """The full names of the parameters that were sent and that nothing has read."""
        return list(_unread(self._values, self._path, self._read))

    def text(self, key: str) -> str | None:
        """A string; None if absent or empty."""
        value = self._get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise invalid("Invalid string", param=self.name_of(key))
        if len(value) > _LONGEST_TEXT:
            raise invalid(
                f"Invalid string: must be at most {_LONGEST_TEXT} characters",
                param=self.name_of(key),
            )
        return value

    def required(self, key: str) -> str:
        """A required string."""
        value = self.text(key)
        if value is None:
            raise parameter_missing(self.name_of(key))
        return value

    def required_object(self, key: str) -> JsonObject:
        """A required object, as sent."""
        value = self.mapping(key)
        if value is None:
            raise parameter_missing(self.name_of(key))
        return value

    def each_text(self, names: Iterable[str]) -> dict[str, str | None]:
        """Several strings by name; None if absent or empty."""
        return {name: self.text(name) for name in names}

    def url(self, key: str) -> str | None:
        """An absolute http(s) URL; None if absent or empty."""
        value = self.text(key)
        if value is None:
            return None
        try:
            usable = URL(value).scheme in {"http", "https"} and bool(URL(value).host)
        except ValueError:
            usable = False
        if not usable or re.search(r"[\x00-\x20\x7f]", value):
            raise invalid("Not a valid URL", param=self.name_of(key), code="url_invalid")
        return value

    def email(self, key: str) -> str | None:
        """An email address; None if absent or empty."""
        value = self.text(key)
        if value is not None and not is_email(value):
            raise invalid(
                f"Invalid email address: {value[:200]}",
                param=self.name_of(key),
                code="email_invalid",
            )
        return value

    def currency(self, key: str = "currency") -> str | None:
        """A currency in lower case; None if absent."""
        value = (self.text(key) or "").lower()
        if value and value not in CURRENCIES:
            raise invalid(
                f"Invalid currency: {value[:20]}. Stripe currently supports these currencies: "
                f"{', '.join(CURRENCIES)}",
                param=self.name_of(key),
            )
        return value or None

    def number(self, key: str) -> float | None:
        """A decimal number; None if absent."""
        value = self.text(key)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d{1,15}(\.\d{1,12})?", value, re.ASCII):
            raise invalid(f"Invalid number: {value[:40]}", param=self.name_of(key))
        return float(value)

    def integer(self, key: str) -> int | None:
        """An integer of at most 15 digits; None if absent."""
        value = self.text(key)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d{1,15}", value, re.ASCII):
            raise invalid(
                f"Invalid integer: {value[:40]}",
                param=self.name_of(key),
                code="parameter_invalid_integer",
            )
        return int(value)

    def positive(self, key: str) -> int | None:
        """A positive integer; None if absent."""
        value = self.integer(key)
        if value is not None and value < 1:
            raise invalid(
                "Invalid positive integer",
                param=self.name_of(key),
                code="parameter_invalid_integer",
            )
        return value

    def boolean(self, key: str, *, default: bool = False) -> bool:
        """A boolean; the default if absent."""
        value = self.text(key)
        if value is None:
            return default
        if value not in {"true", "false", "1", "0"}:
            raise invalid(f"Invalid boolean: {value[:40]}", param=self.name_of(key))
        return value in {"true", "1"}

    def choice(self, key: str, choices: Iterable[str]) -> str | None:
        """One of the given strings; None if absent."""
        return self.one_of(key, choices, default="") if self.text(key) else None

    def one_of(self, key: str, choices: Iterable[str], *, default: str) -> str:
        """One of the given strings; the default if absent."""
        value = self.text(key) or default
        known = list(choices)
        if value not in known:
            raise invalid(invalid_choice_message(self.name_of(key), known), param=self.name_of(key))
        return value

    def texts(self, key: str) -> list[str]:
        """A list of strings; empty if absent. A single string is a list of one."""
        value = as_list(self._get(key)) or []
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise invalid("Invalid array", param=self.name_of(key))
        return items

    def mapping(self, key: str) -> JsonObject | None:
        """An object as sent; None if absent or empty."""
        value = self._get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            raise invalid("Invalid object", param=self.name_of(key))
        return value

    def child(self, key: str) -> Params:
        """The parameters of a nested object; empty if absent."""
        value = self._values.get(key)
        if not isinstance(value, dict):
            value = self.mapping(key) or {}
        return Params(value, self.name_of(key), self._read)

    def children(self, key: str) -> list[Params]:
        """The objects in a list; empty if absent."""
        value = as_list(self._values.get(key)) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise invalid("Invalid array", param=self.name_of(key))
        if not value:
            self._get(key)
        name = self.name_of(key)
        return [Params(item, f"{name}[{i}]", self._read) for i, item in enumerate(value)]

    def metadata(self, key: str = "metadata") -> dict[str, str]:
        """New metadata within Stripe's limits; keys with empty values are dropped."""
        return self.merged_metadata({}, key)

    def merged_metadata(self, current: JsonObject, key: str = "metadata") -> dict[str, str]:
        """Updated metadata: given keys replace, an empty value removes its key, "" removes all."""
        if self._get(key) == "":
            return {}
        given = self.mapping(key) or {}
        for name, value in given.items():
            self._check_metadata(f"{self.name_of(key)}[{name[:60]}]", name, value)
        merged = {name: value for name, value in {**current, **given}.items() if value != ""}
        if len(merged) > _METADATA_KEYS:
            raise invalid(
                f"You can only have up to {_METADATA_KEYS} metadata keys.", param=self.name_of(key)
            )
        return merged

    def _get(self, key: str) -> object:
        """A value as sent. It counts as read, with everything in it."""
        value = self._values.get(key)
        if value is not None:
            self._read.add(self.name_of(key))
        return value

    def _check_metadata(self, param: str, name: str, value: object) -> None:
        if not isinstance(value, str):
            raise invalid("Metadata values must be strings.", param=param)
        if len(name) > _METADATA_KEY_LENGTH:
            raise invalid(
                f"Metadata keys must be at most {_METADATA_KEY_LENGTH} characters long.",
                param=param,
            )
        if len(value) > _METADATA_VALUE_LENGTH:
            raise invalid(
                f"Metadata values can have up to {_METADATA_VALUE_LENGTH} characters, "
                f"but you passed in a value that is {len(value)} characters.",
                param=param,
            )


def is_email(text: str) -> bool:
    """Whether Stripe takes a text for an email address: with a dot in the domain, no spaces."""
    return bool(re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", text))


def invalid_choice_message(param: str, choices: list[str]) -> str:
    """Stripe's sentence for a value that is not one of the choices."""
    if len(choices) == 1:
        return f"Invalid {param}: must be {choices[0]}"
    comma = "," if len(choices) > 2 else ""
    return f"Invalid {param}: must be one of {', '.join(choices[:-1])}{comma} or {choices[-1]}"


def _unread(values: JsonObject, path: str, read: set[str]) -> Iterator[str]:
    for key, value in values.items():
        name = f"{path}[{key}]" if path else key
        if name in read:
            continue
        inner = as_list(value)
        if isinstance(inner, list):
            inner = {str(index): item for index, item in enumerate(inner)}
        if isinstance(inner, dict) and inner:
            yield from _unread(inner, name, read)
        else:
            yield name


def as_list(value: object) -> object:
    """Convert an object with numeric keys to a list, ordered by key."""
    if not isinstance(value, dict) or not value or not all(map(_INDEX.fullmatch, value)):
        return value
    return [value[name] for name in sorted(value, key=int)]
