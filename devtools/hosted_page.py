"""Reads the form of a payment page and fills it in by its autocomplete tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin


@dataclass
class Form:
    """Where a form is posted to, and its fields by name."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


def filled_form(html: str, *, base: str, values: Mapping[str, str]) -> Form:
    """The page's first form; ``values`` are by the fields' autocomplete token (cc-number, …)."""
    reader = _Reader(values)
    reader.feed(html)
    if reader.form is None:
        raise ValueError(f"there is no form on the page {base}")
    return Form(urljoin(base, reader.form.action), reader.form.fields)


class _Reader(HTMLParser):
    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__()
        self.form: Form | None = None
        self._values = values
        self._open = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form" and self.form is None:
            self.form = Form(given.get("action", ""))
            self._open = True
        elif tag == "input" and self.form and self._open:
            self._fill_in(self.form, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False

    def _fill_in(self, form: Form, given: Mapping[str, str]) -> None:
        """Add an input's value; an unchecked box is left out, as in a browser."""
        chosen = given.get("type") not in ("radio", "checkbox") or "checked" in given
        if chosen and given.get("name"):
            default = given.get("value", "")
            form.fields[given["name"]] = self._values.get(given.get("autocomplete", ""), default)
