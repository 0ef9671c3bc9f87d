"""What a key may be called, wherever the name is typed in."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

LONGEST = 200

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SECRET = re.compile(r"[sr]k_(?:live_|test_|[0-9a-f]{18})|whsec_", re.IGNORECASE)


def validate_name(name: str) -> None:
    """Raise ValidationError for what breaks a line, and for a secret pasted into the wrong field.

    A name is stored and shown; a secret is neither.
    """
    if _CONTROL.search(name):
        raise ValidationError("A name is one line of text.", "control_character")
    if _SECRET.search(name):
        raise ValidationError("This looks like a secret key, not like a name.", "secret")
