"""Changes of the API that break clients are named, and need a new version."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from devtools.openapi_changes import breaking_changes
from devtools.reference import shape
from payflow.http import versions
from payflow.openapi.document import document

ROOT = Path(__file__).resolve().parents[2]
CURRENT = shape(json.loads(json.dumps(document())))
Json = dict[str, Any]


@pytest.mark.parametrize("version", sorted(versions.KNOWN))
def test_nothing_has_changed_that_breaks_clients_of_a_version(version: str) -> None:
    released = json.loads((ROOT / "docs" / "versions" / f"{version}.json").read_text())
    assert breaking_changes(released, CURRENT) == [], "docs/api-versions.md says what to do"


def test_every_version_is_documented() -> None:
    page = (ROOT / "docs" / "api-versions.md").read_text()
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for version in versions.KNOWN:
        assert f"| {version} |" in page
        assert f"`Payflow-Version: {version}`" in changelog


def schema(name: str) -> Callable[[Json], Json]:
    def of(document: Json) -> Json:
        found: Json = document["components"]["schemas"][name]
        return found

    return of


def test_what_is_added_breaks_nobody() -> None:
    new = copy.deepcopy(CURRENT)
    new["paths"]["/api/new"] = new["paths"]["/api/orders"]
    schema("Order")(new)["properties"]["invoiceUrl"] = {"type": "string"}
    schema("NewConversation")(new)["properties"]["colour"] = {"type": "string"}
    schema("NewConversation")(new)["properties"]["title"]["maxLength"] = 300
    parameter = {"name": "tier", "in": "query", "schema": {"type": "string"}}
    new["paths"]["/api/orders"]["get"]["parameters"].append(parameter)
    assert breaking_changes(CURRENT, new) == []


def remove_a_route(new: Json) -> None:
    del new["paths"]["/api/orders"]


def remove_a_member(new: Json) -> None:
    del schema("Order")(new)["properties"]["tier"]


def make_a_member_optional(new: Json) -> None:
    schema("Order")(new)["required"].remove("tier")


def make_a_member_nullable(new: Json) -> None:
    schema("Order")(new)["properties"]["tier"]["type"] = ["string", "null"]


def change_a_type(new: Json) -> None:
    schema("Order")(new)["properties"]["id"] = {"type": "string"}


def add_a_status(new: Json) -> None:
    schema("OrderStatus")(new)["enum"].append("waiting")


def add_a_problem_code(new: Json) -> None:
    response = new["paths"]["/api/payments/link"]["post"]["responses"]["409"]
    response["x-problem-codes"].append("brand_new")


def require_a_member(new: Json) -> None:
    schema("LinkRequest")(new)["required"].append("tier")


def shorten_a_text(new: Json) -> None:
    schema("NewConversation")(new)["properties"]["title"]["maxLength"] = 20


def remove_a_filter(new: Json) -> None:
    operation = new["paths"]["/api/orders"]["get"]
    operation["parameters"] = [p for p in operation["parameters"] if p.get("name") != "status"]


def require_a_parameter(new: Json) -> None:
    parameter = {"name": "tier", "in": "query", "required": True, "schema": {"type": "string"}}
    new["paths"]["/api/orders"]["get"]["parameters"].append(parameter)


def refuse_api_keys(new: Json) -> None:
    new["paths"]["/api/orders"]["get"]["security"] = [{"jwt": []}]


BREAKING: dict[Callable[[Json], None], str] = {
    remove_a_route: "GET /api/orders: removed",
    remove_a_member: "GET /api/orders 200.orders[].tier: removed",
    make_a_member_optional: "GET /api/orders 200.orders[].tier: is not always there",
    make_a_member_nullable: "GET /api/orders 200.orders[].tier: may be null",
    change_a_type: "GET /api/orders 200.orders[].id: may be string",
    add_a_status: "GET /api/orders 200.orders[].status: has new values",
    add_a_problem_code: "POST /api/payments/link: new problem code brand_new",
    require_a_member: "POST /api/payments/link body.tier: is required",
    shorten_a_text: "POST /api/conversations body.title: maxLength is 20",
    remove_a_filter: "GET /api/orders: parameter status is removed",
    require_a_parameter: "GET /api/orders: parameter tier is required",
    refuse_api_keys: "GET /api/orders: apiKey no longer authenticates",
}


@pytest.mark.parametrize("change", BREAKING, ids=lambda change: change.__name__)
def test_what_breaks_clients_is_named(change: Callable[[Json], None]) -> None:
    new = copy.deepcopy(CURRENT)
    change(new)
    assert BREAKING[change] in breaking_changes(CURRENT, new)


def test_a_version_can_be_pinned_and_an_unknown_one_is_refused() -> None:
    pinned = Client().get("/api/schema", headers={"Payflow-Version": versions.CURRENT})
    assert pinned.status_code == 200
    assert pinned.headers["Payflow-Version"] == versions.CURRENT
    refused = Client().get("/api/schema", headers={"Payflow-Version": "2020-01-01"})
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_version")
