"""Validators for the name of an API key and other texts that people type."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from apikeys.secret_patterns import contains_secret

MAX_NAME_LENGTH = 200

_CONTROL_CHARACTERS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
# Unicode's Bidi_Control: they make a name, and the text beside it, read as something else.
_BIDI_CHARACTERS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROL = re.compile(rf"[{_CONTROL_CHARACTERS}\ud800-\udfff]")
_BIDI = re.compile(rf"[{_BIDI_CHARACTERS}]")
# What `validate_name` accepts, for the API's description: no secret is recognised by it.
NAME_PATTERN = rf"^(?=.*\S)[^{_CONTROL_CHARACTERS}{_BIDI_CHARACTERS}]*$"


def validate_name(name: str) -> None:
    """Raise ValidationError for control characters, and for a secret in the wrong field.

    A name is stored and shown, so it must not contain a secret.
    """
    if _CONTROL.search(name):
        raise ValidationError(_("A name is one line of text."), "control_character")
    if _BIDI.search(name):
        raise ValidationError(
            _("Names can't contain bidirectional control characters."), "control_character"
        )
    validate_no_secret(name)


def validate_no_secret(text: str) -> None:
    """Raise ValidationError for a secret in a text that is stored and shown."""
    if contains_secret(text):
        raise ValidationError(_("This looks like a key or a token, not like a name."), "secret")
