"""Find texts for people that are not marked for translation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

from django.template.base import Lexer, TokenType
from django.utils.translation import trans_real

# Of an attribute or an element, what a person reads or hears.
_READ = ("alt", "aria-description", "aria-label", "placeholder", "title")
# Of these, what stands in them is not in a language.
_SKIPPED = ("code", "kbd", "pre", "samp", "script", "style")
_WORD = re.compile(r"[A-Za-z]{2,}")
# Filters whose argument is a text.
_TEXT_FILTER = re.compile(r"\|(?:default|default_if_none|yesno|pluralize|join):\s*([\"'].*?[\"'])")
_OPENS, _CLOSES = ("blocktranslate", "blocktrans", "comment"), "end"


class Shown(HTMLParser):
    """The texts of a page that people read, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in _SKIPPED:
            self._inside.append(tag)
        names = [*_READ, *(["value"] if given.get("type") in ("submit", "button") else [])]
        self.texts += [given[name] or "" for name in names if name in given]
        if tag == "meta" and given.get("name") == "description":
            self.texts.append(given.get("content") or "")

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.texts.append(data)


def words(texts: list[str]) -> list[str]:
    return [word for text in texts for word in _WORD.findall(text)]


def unmarked_in_template(source: str) -> list[str]:
    """The words outside of `{% translate %}` and `{% blocktranslate %}`."""
    return words([*Shown("".join(_unmarked(source))).texts, *_arguments(source)])


def _unmarked(source: str) -> Iterator[str]:
    """The template without its tags and without what is marked."""
    ends_with = ""
    for token in Lexer(source).tokenize():
        name = token.split_contents()[0] if token.token_type == TokenType.BLOCK else ""
        if ends_with:
            ends_with = "" if name == ends_with else ends_with
        elif name in _OPENS:
            ends_with = f"{_CLOSES}{name}"
        elif token.token_type == TokenType.TEXT:
            yield token.contents
        else:
            yield " "


def _arguments(source: str) -> Iterator[str]:
    """Texts that a filter puts into a page, unless they are marked: `|default:_("none")`."""
    for token in Lexer(source).tokenize():
        if token.token_type == TokenType.VAR:
            yield from _TEXT_FILTER.findall("{{" + token.contents)


# --- A language that is made of the texts -------------------------------------------------------

_ASCII = "".join(map(chr, range(ord("A"), ord("Z") + 1)))
_LETTERS = _ASCII + _ASCII.lower()
# Each letter with a mark, by which it is none of `_WORD`'s.
_MARKED = str.maketrans({letter: f"{letter}\u0301" for letter in _LETTERS})
# What stays: placeholders, markup, entities.
_KEPT = re.compile(r"(%\(\w+\)[a-z]|%[a-z%]|\{\w*\}|<[^>]*>|&\w+;)")


def marked(text: str) -> str:
    """The text as a translation that no one can take for the original."""
    pieces = _KEPT.split(text)
    return "".join(
        piece if number % 2 else piece.translate(_MARKED) for number, piece in enumerate(pieces)
    )


class _Catalogue:
    """Stands in for Django's catalogue of a language."""

    def __init__(self, language: str) -> None:
        self._language = language

    def to_language(self) -> str:
        return self._language

    def gettext(self, message: str) -> str:
        return marked(message.rpartition(trans_real.CONTEXT_SEPARATOR)[2])

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        return self.gettext(singular if number == 1 else plural)


@contextmanager
def speaking_marked(language: str) -> Iterator[None]:
    """While inside, what is marked for translation appears in marked letters in this language."""
    catalogues: dict[str, Any] = trans_real._translations  # type: ignore[attr-defined]
    before = trans_real.translation(language)
    catalogues[language] = _Catalogue(language)
    try:
        yield
    finally:
        catalogues[language] = before
