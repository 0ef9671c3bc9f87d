"""HTML builder that escapes all text."""

from __future__ import annotations

from html import escape

_VOID = frozenset({"br", "hr", "input", "link", "meta"})


class Markup(str):
    """HTML that needs no escaping."""

    __slots__ = ()


Content = str | None
"""Text (escaped), Markup (not escaped) or None."""


def join(*content: Content) -> Markup:
    """Concatenate pieces of content."""
    return Markup("".join(_safe(piece) for piece in content))


def tag(name: str, /, *content: Content, **attributes: str | bool | None) -> Markup:
    """An element. `class_` is class, `aria_label` aria-label; False and None omit it."""
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(*content)}</{name}>")


def _safe(piece: Content) -> str:
    if piece is None:
        return ""
    return piece if isinstance(piece, Markup) else escape(piece)


def _attribute(key: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
