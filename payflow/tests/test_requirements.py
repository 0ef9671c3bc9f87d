"""Every requirement is imported or used."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *ROOT.glob("*.py"),
    *(p for init in ROOT.glob("*/__init__.py") for p in init.parent.rglob("*.py")),
]
# Where a tool, a plugin or an app is named without being imported.
CONFIGURATION = (
    "Makefile",
    "pyproject.toml",
    "pytest.ini",
    "payflow/settings.py",
    "devtools/postgres.py",
)
# Plugins of pytest are used by their options, and tools by their commands.
OPTIONS = {
    "cyclonedx-bom": "bin/cyclonedx-py",
    "pip-audit": "devtools/advisories.py",
    "pytest-randomly": "-p no:randomly",
    "pytest-socket": "--disable-socket",
    "pytest-timeout": "timeout =",
    "pytest-xdist": "-n auto",
}
PROVIDED = packages_distributions()


def requirements() -> list[str]:
    lines = [
        line for file in ROOT.glob("requirements/*.in") for line in file.read_text().splitlines()
    ]
    return sorted({found[0].lower() for line in lines if (found := re.match(r"\w[\w-]*", line))})


def imported() -> set[str]:
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


@pytest.fixture(scope="module")
def names_in_use() -> set[str]:
    """Modules that are imported, and words of the configuration."""
    text = "\n".join((ROOT / name).read_text() for name in CONFIGURATION)
    return imported() | set(re.findall(r"\w+", text))


def modules_of(requirement: str) -> set[str]:
    """The modules that a requirement provides; of one that is not installed, by its name."""
    provided = {
        module
        for module, packages in PROVIDED.items()
        if requirement in {re.sub(r"[-_.]+", "-", package).lower() for package in packages}
    }
    return provided or {requirement.replace("-", "_")}


@pytest.mark.parametrize("requirement", requirements())
def test_every_requirement_is_used(requirement: str, names_in_use: set[str]) -> None:
    if option := OPTIONS.get(requirement):
        texts = [
            (ROOT / name).read_text() for name in ("Makefile", "pytest.ini", "CONTRIBUTING.md")
        ]
        assert any(option in text for text in texts)
        return
    modules = {
        name.removeprefix("types_").removesuffix("-stubs") for name in modules_of(requirement)
    }
    assert modules & names_in_use


def test_make_run_needs_only_its_own_set() -> None:
    locked = (ROOT / "requirements" / "run.txt").read_text()
    installed = {name.lower() for name in re.findall(r"^([\w.-]+)==", locked, re.MULTILINE)}
    missing = [
        module
        for module, packages in PROVIDED.items()
        if not installed & {re.sub(r"[-_.]+", "-", package).lower() for package in packages}
    ]
    script = f"""
import sys
for name in {missing!r}:
    sys.modules[name] = None  # an import of it fails
import devtools.demo, devtools.run, sandbox.__main__, sandbox.server
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "check"])
"""
    environment = {
        "PATH": os.environ["PATH"],
        "DEBUG": "on",
        "ENV_FILE": "",
        "DATABASE_URL": "sqlite://:memory:",
        "DJANGO_SETTINGS_MODULE": "payflow.settings",
    }
    subprocess.run(
        [sys.executable, "-"], input=script, text=True, cwd=ROOT, env=environment, check=True
    )
