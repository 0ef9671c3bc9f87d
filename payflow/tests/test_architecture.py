"""The import table: who may import whom, function-level imports included.

Data flows one way through the house; this file is the plan of its doors.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

APPS = {"accounts", "conversations", "apikeys", "billing", "support", "payflow", "sandbox"}

MAY_IMPORT: dict[str, set[str]] = {
    "accounts": set(),
    "conversations": set(),
    "apikeys": set(),
    "sandbox": set(),
    "billing": {"conversations", "apikeys"},
    "support": APPS - {"sandbox", "payflow"},
    "payflow": APPS - {"sandbox"},
}

# Within billing: views, api, admin and commands stand on top; each row lists what it may use.
BILLING: dict[str, set[str]] = {
    "apps": set(),
    "facts": set(),
    "gateway": set(),
    "models": set(),
    "returns": {"facts", "models"},
    "fulfilment": {"facts", "models", "returns"},
    "handlers": {"facts", "models", "returns", "fulfilment"},
    "concurrently": {"facts", "models", "fulfilment"},
    "ledger": {"facts", "models", "handlers", "concurrently"},
    "retrying": {"facts", "models", "ledger", "progress"},
    "fetching": {"facts", "models", "ledger", "handlers", "retrying", "gateway"},
    "progress": set(),
    "stopping": {"progress"},
    "checkout": {"facts", "models", "fulfilment", "gateway"},
    "api": {"facts", "models", "ledger", "checkout", "gateway"},
    "views": {"facts", "models", "ledger", "checkout", "gateway"},
    "commands": {
        "facts",
        "models",
        "ledger",
        "retrying",
        "fetching",
        "checkout",
        "gateway",
        "progress",
        "stopping",
    },
}
SPEAKS_TO_OTHER_APPS = {"billing/fast_path.py", "billing/checkout.py", "billing/fulfilment.py"}
SPEAKS_TO_STRIPE = "billing/stripe/client.py"


@dataclass(frozen=True)
class Import:
    file: str
    line: int
    target: str
    """Dotted: the module, and for `from a import b` also `a.b`, which may be one."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def sources() -> list[Path]:
    """The product's own modules: no tests, no migrations."""
    files = [path for app in sorted(APPS) for path in sorted((ROOT / app).rglob("*.py"))]
    return [path for path in files if not {"tests", "migrations"} & set(path.parts)]


def imports(file: str, source: str) -> Iterator[Import]:
    """Every import in the source, also one inside of a function; relative ones resolved."""
    package = file.split("/")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(file, node.lineno, f"{module}.{alias.name}")


ALL = [
    found
    for path in sources()
    for found in imports(path.relative_to(ROOT).as_posix(), path.read_text())
]


def test_there_is_something_to_look_at() -> None:
    assert {found.file.split("/")[0] for found in ALL} == APPS


def test_apps_import_only_what_the_table_allows() -> None:
    violations = []
    for found in ALL:
        app, target = found.file.split("/")[0], found.target.split(".")[0]
        if target in APPS - {app} - MAY_IMPORT[app]:
            violations.append(str(found))
    assert violations == []


def test_inside_billing_data_flows_one_way() -> None:
    violations = []
    for found in ALL:
        folder, _, name = found.file.removesuffix(".py").partition("/")
        parts = found.target.split(".")
        if folder != "billing" or name == "__init__":
            continue
        top = "commands" if name.startswith("management/") else name
        target = parts[1] if parts[0] == "billing" and len(parts) > 1 else ""
        if target in BILLING and target != name and target not in BILLING[top]:
            violations.append(str(found))
    assert violations == []


def test_every_module_of_billing_has_its_place_in_the_table() -> None:
    names = {path.stem for path in (ROOT / "billing").glob("*.py")} - {"__init__"}
    assert names == set(BILLING) - {"commands"}


def test_only_checkout_and_fulfilment_leave_billing() -> None:
    others = {"conversations", "apikeys"}
    leaving = {
        found.file
        for found in ALL
        if found.file.startswith("billing/") and found.target.split(".")[0] in others
    }
    assert leaving <= SPEAKS_TO_OTHER_APPS


def test_only_the_gateway_imports_stripe() -> None:
    homes = {found.file for found in ALL if found.target.split(".")[0] == "stripe"}
    assert {home for home in homes if not home.startswith("sandbox/")} == {SPEAKS_TO_STRIPE}


def test_what_every_app_may_use_knows_no_app() -> None:
    found = imports("statements.py", (ROOT / "statements.py").read_text())
    assert [str(each) for each in found if each.target.split(".")[0] in APPS] == []


def test_the_gateway_imports_nothing_of_ours() -> None:
    ours = [found for found in ALL if found.file == SPEAKS_TO_STRIPE]
    assert [str(found) for found in ours if found.target.split(".")[0] in APPS] == []


def test_the_sandbox_knows_nothing_of_django() -> None:
    frameworks = {"django", "rest_framework"}
    inside = [found for found in ALL if found.file.startswith("sandbox/")]
    assert [str(found) for found in inside if found.target.split(".")[0] in frameworks] == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_function_imports_anything(path: Path) -> None:
    tree = ast.parse(path.read_text())
    hidden = [
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert hidden == []


def test_imports_are_found_wherever_they_hide() -> None:
    source = """
import stripe as s
from . import models
from .tests import factories

def f():
    from billing.models import Order
    class C:
        import sandbox.server
"""
    found = {found.target for found in imports("accounts/hidden.py", source)}
    assert found == {
        "stripe",
        "accounts.models",
        "testing.factories",
        "billing.models.Order",
        "sandbox.server",
    }
