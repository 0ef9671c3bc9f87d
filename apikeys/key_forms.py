"""The form of keys that were imported from another system: IMPORTED_KEY_PATTERN.

The pattern is of a small language, so that matching takes linear time on any text: literal
characters and classes like `[A-Za-z0-9]`, each with a fixed count like `{32}`, and at most one
range like `{20,40}`; several forms are separated by `|`. Each begins with a literal text, by which
such a key is told from other tokens and recognised in logs.
"""

from __future__ import annotations

import re
from functools import cache

from django.conf import settings

# What the literal beginning of a form needs, and what other tokens begin with.
_START = re.compile(r"[A-Za-z][A-Za-z0-9_.-]+", re.ASCII)
_TAKEN = re.compile(r"eyJ|svc_|whsec_|[prs]k_(?:org_)?(?:live|test)_|sk_\Z", re.IGNORECASE)
_ATOM = re.compile(
    r"(?:(?P<literal>[A-Za-z0-9_~+/-]|\\?\.)|\[[A-Za-z0-9_.~+/-]+\])"
    r"(?P<count>\{[0-9]{1,3}(?P<range>,[0-9]{1,3})?\})?",
    re.ASCII,
)
MIN_LENGTH = 16


class UnsafePattern(ValueError):
    """The pattern is not of the language above. The text says what is wrong."""


def check(pattern: str) -> None:
    """Raises UnsafePattern."""
    try:
        redaction_patterns(pattern)
    except re.error:
        raise UnsafePattern("a class ends before it begins") from None


def is_imported(text: str) -> bool:
    """Whether the text has the form of an imported key."""
    whole = _whole(settings.IMPORTED_KEY_PATTERN)
    return whole is not None and whole.fullmatch(text) is not None


@cache
def redaction_patterns(pattern: str) -> tuple[re.Pattern[str], ...]:
    """Patterns that find such keys in a text; the first group is the beginning of the key."""
    if not pattern:
        return ()
    forms = ((form, _start_of(form)) for form in pattern.split("|"))
    return tuple(
        re.compile(f"({re.escape(start)}){_escaped(form)[len(re.escape(start)) :]}", re.ASCII)
        for form, start in forms
    )


@cache
def _whole(pattern: str) -> re.Pattern[str] | None:
    forms = (f"(?:{_escaped(form)})" for form in pattern.split("|"))
    return re.compile("|".join(forms), re.ASCII) if pattern else None


def _start_of(form: str) -> str:
    """The literal text with which a form begins. Raises UnsafePattern."""
    start, is_start, ranges, least, position = "", True, 0, 0, 0
    while position < len(form):
        atom = _ATOM.match(form, position)
        if atom is None:
            raise UnsafePattern("it has more than characters, classes, counts and one range")
        position = atom.end()
        is_start = is_start and atom["literal"] is not None and atom["count"] is None
        start += atom["literal"][-1] if is_start else ""
        ranges += atom["range"] is not None
        least += _least(atom)
    if ranges > 1:
        raise UnsafePattern("a form has more than one range")
    if least < MIN_LENGTH:
        raise UnsafePattern(f"a form allows fewer than {MIN_LENGTH} characters")
    if not _START.fullmatch(start) or _TAKEN.match(start):
        raise UnsafePattern("a form needs a beginning of its own, like old_")
    return start


def _least(atom: re.Match[str]) -> int:
    if not atom["count"]:
        return 1
    least, _, most = atom["count"].strip("{}").partition(",")
    if most and int(most) < int(least):
        raise UnsafePattern("a range ends before it begins")
    return int(least)


def _escaped(form: str) -> str:
    """The form as a regular expression: a literal dot and other marks are themselves."""
    parts = []
    for atom in _ATOM.finditer(form):
        literal = atom["literal"]
        kind = re.escape(literal[-1]) if literal else _class(atom)
        parts.append(kind + (atom["count"] or ""))
    return "".join(parts)


def _class(atom: re.Match[str]) -> str:
    return atom[0].removesuffix(atom["count"] or "")
