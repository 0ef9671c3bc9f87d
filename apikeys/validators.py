"""What a key may be called, wherever the name is typed in."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

LONGEST = 200

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Unicode's Bidi_Control: a name with one of them reads otherwise than it is, beside others too.
_BIDI = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SECRET = re.compile(
    r"""
      [prs]k_ (?: live_ | test_ | [0-9a-f]{18} ) | whsec_
    | (?<! [a-z0-9] ) (?-i: eyJ ) [a-z0-9_-]{16}    # a JSON Web Token, also one cut short
    """,
    re.VERBOSE | re.IGNORECASE,
)


def validate_name(name: str) -> None:
    """Raise ValidationError for what is no plain line, and for a secret in the wrong field.

    A name is stored and shown; a secret is neither.
    """
    if _CONTROL.search(name):
        raise ValidationError("A name is one line of text.", "control_character")
    if _BIDI.search(name):
        raise ValidationError(
            "A name holds no marks that turn the direction of reading.", "control_character"
        )
    if _SECRET.search(name):
        raise ValidationError("This looks like a key or a token, not like a name.", "secret")
