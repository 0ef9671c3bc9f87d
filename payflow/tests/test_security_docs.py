"""docs/security.md names tests that exist, and every chapter; licences are allowed ones."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
TEST = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
LOCKED = re.compile(r"^([a-z0-9-]+)==", re.MULTILINE)

# In the spelling of packages: an SPDX expression, a word of `License`, or a classifier.
ALLOWED = re.compile(
    r"MIT(-0)?|BSD([ -][23]-Clause)?|Apache(-2\.0)?|PSF-2\.0|MPL[ -]2\.0|LGPL-3\.0-only|ISC",
    re.ASCII,
)


def test_every_test_that_the_page_names_exists() -> None:
    tests = {
        name
        for folder in ("tests", "e2e")
        for path in ROOT.glob(f"**/{folder}/test_*.py")
        if ".venv" not in path.parts
        for name in TEST.findall(path.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 60
    assert named - tests == set()


def test_every_actor_and_every_chapter_has_a_row() -> None:
    table = PAGE.partition("## OWASP")[2]
    chapters = {int(number) for number in re.findall(r"^\| V(\d+) ", table, re.MULTILINE)}
    assert chapters == set(range(1, 18))
    rows = re.findall(r"^\| (?:V\d+ )?[^|]*\|[^|]*\|([^|]*)\|", table, re.MULTILINE)
    assert all(row.strip() for row in rows)


@pytest.mark.parametrize(
    "package", LOCKED.findall((ROOT / "requirements" / "prod.txt").read_text())
)
def test_every_licence_of_what_is_installed_is_allowed(package: str) -> None:
    try:
        about = metadata(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is of another platform or Python")
    stated = [*(about.get_all("License-Expression") or []), *(about.get_all("License") or [])]
    stated += [name for name in about.get_all("Classifier") or [] if "License ::" in name]
    texts = [text[:100] for text in stated]
    assert any(ALLOWED.search(text) for text in texts), texts
    assert not any(re.search(r"(?<!L)GPL|AGPL|SSPL|Commons Clause", text) for text in texts), texts
