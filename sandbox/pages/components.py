"""HTML components of the control page: tables, buttons, times, shortened ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sandbox.pages.markup import Content, Markup, tag


def button(action: str, label: str, **fields: str) -> Markup:
    """A form with one button and hidden fields."""
    hidden = [tag("input", type="hidden", name=name, value=value) for name, value in fields.items()]
    submit = tag("button", label, class_="plain")
    return tag("form", *hidden, submit, method="post", action=action)


def table(headings: Sequence[str], rows: Sequence[Sequence[Content]]) -> Markup:
    """A table that scrolls if it is too wide."""
    head = tag("tr", *(tag("th", heading, scope="col") for heading in headings))
    body = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    # Focusable, so that the keyboard can scroll it.
    return tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", *body)),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=f"Table of {headings[0].lower()}s",
    )


def time_tag(timestamp: float) -> Markup:
    """A time in UTC."""
    when = datetime.fromtimestamp(timestamp, UTC)
    return tag("time", f"{when:%d %b %H:%M:%S}", datetime=f"{when:%Y-%m-%dT%H:%M:%SZ}")


def short_id(identifier: str) -> str:
    """An id, shortened in the middle if it is long."""
    return identifier if len(identifier) <= 20 else f"{identifier[:11]}…{identifier[-6:]}"
