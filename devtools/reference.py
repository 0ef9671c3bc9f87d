"""`make reference`: write the pages that are generated from the code, into docs/.

With `--release`, also the shape of today's API as clients may rely on it: docs/versions/.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import django

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ROOT / "payflow" / "settings.py"
EXAMPLE = ROOT / ".env.example"

# What each method of payflow.env.Configuration accepts.
KINDS = {
    "integer": "whole number",
    "items": "comma-separated",
    "origins": "origins, comma-separated",
    "url": "http(s) URL",
    "redis": "redis URL",
    "database": "database URL",
    "prices": "tier=price, comma-separated",
    "webhook_secrets": "secrets, comma-separated",
    "log_level": "level of Python's logging",
    "jwt_secret": "secret of 32 bytes or more",
}
# Variables that are read before or beside payflow/settings.py.
OTHERS = {"DEBUG": ("on or off", "off"), "WEB_CONCURRENCY": ("whole number", "2")}
ONLY_FOR_PEOPLE = {"description", "summary", "example", "examples", "tags"}


def openapi() -> str:
    from payflow.openapi.document import document  # noqa: PLC0415 - needs Django's settings

    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def shape(document: Any) -> Any:
    """A document without what only people read."""
    if isinstance(document, list):
        return [shape(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {
        name: shape(each)
        for name, each in document.items()
        if name not in ONLY_FOR_PEOPLE or (isinstance(each, dict) and "type" in each)
    }


def errors() -> str:
    """docs/errors.md."""
    from restapi.problem_codes import PROBLEM_CODES  # noqa: PLC0415

    lines = [
        "# Errors",
        "",
        "Every error of the API is a problem document (RFC 9457, `application/problem+json`). Its",
        "`code` is one of these; switch on it, not on `detail`, whose wording may change. `errors`",
        "has a row for each fault of the body (`pointer`) or of the query (`parameter`).",
        "[What may change](api-versions.md) says when codes are added. This page is written by",
        "`make reference`.",
    ]
    codes = sorted(PROBLEM_CODES.items(), key=lambda item: (item[1].status, item[0]))
    for status, group in groupby(codes, key=lambda item: item[1].status):
        lines += ["", f"## {status} {HTTPStatus(status).phrase}", ""]
        lines += ["| code | when | what to do |", "|---|---|---|"]
        lines += [f"| `{code}` | {each.when} | {each.remedy} |" for code, each in group]
    return "\n".join(lines) + "\n"


class Variable(NamedTuple):
    section: str
    name: str
    meaning: str


def variables() -> list[Variable]:
    """The variables of .env.example, in its order, with the comments above them.

    Neighbours share a comment.
    """
    found: list[Variable] = []
    section, comment, follows = "", "", False  # follows: an assignment is above
    for line in EXAMPLE.read_text().splitlines():
        if heading := re.match(r"# --- (.+?) -+$", line):
            section, comment = heading[1], ""
        elif line.startswith("# "):
            comment = f"{'' if follows else comment} {line[2:]}".strip()
            follows = False
        elif assignment := re.match(r"([A-Z][A-Z0-9_]*)=", line):
            found.append(Variable(section, assignment[1], comment))
            follows = True
    return found


def settings_read() -> dict[str, tuple[str, str]]:
    """Kind and default of each variable that payflow/settings.py reads."""
    found = dict(OTHERS)
    for node in ast.walk(ast.parse(SETTINGS.read_text())):
        if not isinstance(node, ast.Call) or ast.unparse(node.func).partition(".")[0] != "_config":
            continue
        names = [
            each.value
            for each in node.args
            if isinstance(each, ast.Constant) and re.fullmatch(r"[A-Z][A-Z0-9_]+", str(each.value))
        ]
        rest = [each for each in node.args if isinstance(each, ast.Constant)][len(names) :]
        method = ast.unparse(node.func).partition(".")[2]
        for name in names:
            default = str(rest[0].value) if rest else ""
            found.setdefault(str(name), (KINDS.get(method, "text"), default))
    return found


def configuration() -> str:
    """docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Every environment variable that payflow reads. `.env` beside `manage.py` is read too, or",
        "the file that `ENV_FILE` names; the environment wins. A refused value stops the start",
        "with one line that names the variable. This page is written by `make reference` from",
        "`payflow/settings.py` and `.env.example`.",
    ]
    read = settings_read()
    for section, group in groupby(variables(), key=lambda each: each.section):
        lines += ["", f"## {section}", ""]
        lines += ["| variable | value | default | meaning |", "|---|---|---|---|"]
        for each in group:
            kind, default = read.get(each.name, ("text", ""))
            shown = f"`{default}`" if default else ""
            lines.append(f"| `{each.name}` | {kind} | {shown} | {each.meaning} |")
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/openapi.json": openapi,
    "docs/errors.md": errors,
    "docs/configuration.md": configuration,
}


def main() -> None:
    django.setup()
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())
    if "--release" in sys.argv[1:]:
        document = json.loads(openapi())
        released = ROOT / "docs" / "versions" / f"{document['info']['version']}.json"
        released.parent.mkdir(exist_ok=True)
        released.write_text(json.dumps(shape(document), indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
