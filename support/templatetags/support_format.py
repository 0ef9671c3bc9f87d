"""Template filters of the support pages: amounts, states, redacted JSON, labels."""

from __future__ import annotations

import json
import re
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apikeys.models import ApiKey
from apikeys.secret_patterns import redact, redact_json
from notifications import money
from support.actions import registry

register = template.Library()

TONES = {
    "good": ("open", "completed", "paid", "processed", "active", "done", "succeeded", "won"),
    "wait": (
        "pending",
        "received",
        "unmatched",
        "suspended",
        "duplicate",
        "unknown",
        "partly",
        "needs",
    ),
    "bad": (
        "failed",
        "revoked",
        "refused",
        "disputed",
        "fraud",
        "lost",
        "refunded",
        "deactivated",
        "stopped",
        "closed",
    ),
}
_TONE_OF = {word: tone for tone, words in TONES.items() for word in words}


@register.simple_tag
def amount(cents: int | None, currency: str) -> str:
    """`20.00 USD`, "" when there is no amount."""
    return "" if cents is None else money.show(cents, currency)


@register.filter
def badge(word: object) -> SafeString:
    """A state as a coloured label."""
    text = str(word)
    tone = _TONE_OF.get(re.split(r"[ ,]", text)[0], "none")
    return format_html('<span class="badge {}">{}</span>', tone, text.replace("_", " "))


@register.filter
def readable(payload: Any) -> str:
    """A payload as indented JSON with its secrets redacted."""
    try:
        return json.dumps(redact_json(payload), indent=2, ensure_ascii=False)
    except RecursionError:
        return "It is nested too deeply to be shown."


@register.filter
def admin_list(opts: Any) -> str:
    """The route name of a model's list."""
    return f"admin:{opts.app_label}_{opts.model_name}_changelist"


@register.filter
def key_state(key: ApiKey) -> str:
    return f"{key.state.label}, to be revealed" if key.is_revealable else str(key.state.label)


register.filter("done_label", registry.done_label)
register.filter("redacted", redact)
