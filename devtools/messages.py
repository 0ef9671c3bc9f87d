"""`make messages`: bring the translations in step with the marked texts, and compile them.

Texts are marked by `{% translate %}` and `{% blocktranslate %}` in templates and by gettext's
functions in Python. Those of an app with a folder `locale` are in its catalogue, all others in
`locale/` at the root. Both forms are committed: `.po` for people, `.mo` for production, which has
no tool to compile it.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    *("accounts", "apikeys", "billing", "conversations", "notifications", "payflow", "restapi"),
    *("support", "templates"),
)
LANGUAGES = ("de",)  # all of settings.LANGUAGES but English, which the texts are written in
_CONTEXT = (1, "c")
FUNCTIONS = {
    **dict.fromkeys(("gettext", "gettext_lazy", "gettext_noop", "_"), (1,)),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), (_CONTEXT, 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), (_CONTEXT, 2, 3)),
}
HEADER = """\
# Write a translation below each text, then run `make messages`.
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
# Babel writes the time of the change: without it, equal translations are equal files.
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)

Text = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Files:
    """The two files of a catalogue: what people edit, and what Django reads."""

    po: Path

    @property
    def mo(self) -> Path:
        return self.po.with_suffix(".mo")

    def read(self) -> Catalog:
        language = self.po.parts[-3]
        source = io.StringIO(self.po.read_text() if self.po.exists() else "")
        catalogue = read_po(source, locale=language)
        catalogue.creation_date = catalogue.revision_date = _NO_TIME
        return catalogue


def catalogues(language: str) -> dict[Files, set[tuple[Text, str | None]]]:
    """Every catalogue of the language, with the texts and contexts that belong to it."""
    found: dict[Files, set[tuple[Text, str | None]]] = {}
    for name in SOURCES:
        folder = ROOT / name / "locale"
        home = folder if folder.is_dir() else ROOT / "locale"
        files = Files(home / language / "LC_MESSAGES" / "django.po")
        found.setdefault(files, set()).update(_texts_below(ROOT / name))
    return found


def _texts_below(folder: Path) -> Iterator[tuple[Text, str | None]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix in (".py", ".html", ".txt") and not {"tests", "migrations"} & set(parts):
            yield from texts(path)


def texts(path: Path) -> Iterator[tuple[Text, str | None]]:
    """The marked texts of a file, each with its context."""
    source = path.read_text()
    if path.suffix != ".py":  # what is not marked becomes X's, which need no indentation
        lines = templatize(source, origin=str(path)).splitlines()
        source = "\n".join(line.lstrip() for line in lines)
    for _, text, _, context in extract("python", io.BytesIO(source.encode()), keywords=FUNCTIONS):
        yield text, context


def in_step(files: Files, marked: set[tuple[Text, str | None]]) -> Catalog:
    """The catalogue with exactly these texts, and what was translated of them."""
    known = files.read()
    catalogue = Catalog(locale=known.locale)
    catalogue.creation_date = catalogue.revision_date = _NO_TIME
    for text, context in sorted(marked, key=str):
        first = text if isinstance(text, str) else text[0]
        translated = known.get(first, context)
        catalogue.add(text, translated.string if translated else "", context=context)
    return catalogue


def as_po(catalogue: Catalog) -> str:
    text = io.BytesIO()
    write_po(text, catalogue, width=96, omit_header=True, no_location=True, sort_output=True)
    return HEADER.format(language=catalogue.locale) + text.getvalue().decode()


def as_mo(catalogue: Catalog) -> bytes:
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    return compiled.getvalue()


def faults(catalogue: Catalog) -> Sequence[str]:
    """What is not translated, or has other placeholders than its translation."""
    missing = [
        f"no translation: {message.id}"
        for message in catalogue
        if message.id and not all(_strings(message.string))
    ]
    wrong = [f"{error}: {message.id}" for message, errors in catalogue.check() for error in errors]
    return [*missing, *wrong]


def _strings(string: str | Sequence[str] | None) -> Sequence[str]:
    return [string] if isinstance(string, str) else string or [""]


def main() -> int:
    found = []
    for language in LANGUAGES:
        for files, marked in catalogues(language).items():
            catalogue = in_step(files, marked)
            files.po.parent.mkdir(parents=True, exist_ok=True)
            files.po.write_text(as_po(catalogue))
            files.mo.write_bytes(as_mo(catalogue))
            found += [f"{files.po.relative_to(ROOT)}: {fault}" for fault in faults(catalogue)]
    print("\n".join(found) or "Every text is translated.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
