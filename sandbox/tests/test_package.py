"""The package: it depends on nothing but what it declares, and on nothing of the repository."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import __version__

FOLDER = Path(__file__).resolve().parents[1]
PROJECT = FOLDER / "pyproject.toml"
in_the_source_folder = pytest.mark.skipif(
    not PROJECT.exists(), reason="pyproject.toml is in the source folder, not in an installation"
)


def modules(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.py") if "tests" not in path.parts)


def imported(path: Path) -> set[str]:
    """The top-level names that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@in_the_source_folder
def test_everything_that_is_imported_is_declared() -> None:
    declared = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    known = {name.partition("~")[0] for name in declared} | sys.stdlib_module_names | {"sandbox"}

    unknown = {path.name: imported(path) - known for path in modules(FOLDER)}

    assert {name: names for name, names in unknown.items() if names} == {}


@in_the_source_folder
def test_its_dependencies_are_those_that_the_repository_runs_with() -> None:
    declared = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    files = ("base.in", "run.in")
    texts = ((FOLDER.parent / "requirements" / name).read_text() for name in files)
    lines = "\n".join(texts).splitlines()
    installed = {line.partition("#")[0].strip() for line in lines}

    assert set(declared) <= installed


@in_the_source_folder
def test_the_readme_names_every_option() -> None:
    text = (FOLDER / "README.md").read_text()
    source = (FOLDER / "__main__.py").read_text()
    options = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("--")
        and " " not in node.value
    }

    assert {option for option in options if f"`{option}" not in text} == set()


def test_the_version_is_a_release() -> None:
    assert all(part.isdecimal() for part in __version__.split("."))
    assert len(__version__.split(".")) == 3
