"""The kinds of notifications: what each is called, and what its mail says.

An app with kinds of its own registers them when it is loaded (`AppConfig.ready`). The mail of a
kind is the template `notifications/mail/NAME.txt` (dots as underscores): the paragraphs between
greeting and signature. The HTML is made from the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.utils.dateparse import parse_datetime
from django_stubs_ext import StrPromise

from notifications import money
from notifications.models import Notification

Context = Mapping[str, Any]


def readable(notification: Notification) -> dict[str, Any]:
    """The stored data; amounts (`…Cents`) also as people write them, and times (`…At`) as times.

    Called in the language of the mail.
    """
    data = notification.data
    shown: dict[str, Any] = {}
    for name, value in data.items():
        if name.endswith("Cents"):
            base = name.removesuffix("Cents")
            shown[base] = money.localized(value, data.get(f"{base}Currency", data["currency"]))
        shown[name] = parse_datetime(value) if name.endswith("At") else value
    return shown


@dataclass(frozen=True, slots=True)
class Kind:
    """`subject` may use the context: `Order %(orderId)s`. Without a subject there is no mail.

    `context` is called when the mail is sent: what must not be stored (a token) is made there. It
    may add `to`, another address than the user's; `link`, a path of ours or a URL, with
    `link_label`. None: the mail is no longer needed.
    """

    name: str
    subject: StrPromise | str = ""  # marked for translation: gettext_lazy
    is_event: bool = False  # told to other systems too
    delay: timedelta = timedelta(0)
    link: str = ""
    link_label: StrPromise | str = ""
    context: Callable[[Notification], Context | None] = readable

    @property
    def template(self) -> str:
        return f"notifications/mail/{self.name.replace('.', '_')}.txt"


KINDS: dict[str, Kind] = {}


def register(*kinds: Kind) -> None:
    for kind in kinds:
        KINDS[kind.name] = kind


def describe(context: Callable[[Notification], Context | None], *names: str) -> None:
    """Let the app that owns the data make the context of these kinds."""
    for name in names:
        KINDS[name] = replace(KINDS[name], context=context)
