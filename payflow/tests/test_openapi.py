"""The OpenAPI document: complete, true, in step with docs/, and answered from memory."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from jsonschema_rs import Draft202012Validator
from rest_framework import exceptions

from apikeys.errors import ApiKeyError
from billing.checkout import CheckoutError, UnknownTier
from billing.stripe.client import StripeFailed
from devtools import reference
from payflow.openapi import document as documents
from payflow.openapi.answers import operations
from restapi.problem_codes import PROBLEM_CODES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = documents.document()
OPERATIONS = [
    pytest.param(operation, id=operation["operationId"])
    for _path, _method, operation in operations(DOCUMENT)
]
each_operation = pytest.mark.parametrize("operation", OPERATIONS)


def test_the_document_is_openapi_3_1_of_a_dated_version() -> None:
    assert DOCUMENT["openapi"] == "3.1.1"
    assert DOCUMENT["info"]["version"] == "2026-11-26"
    assert DOCUMENT["servers"][0]["url"] == "/"
    assert list(DOCUMENT["webhooks"]) == ["stripeEvent", "serviceEvent"]
    assert {"/healthz", "/readyz", "/api/api-keys/verify"} <= set(DOCUMENT["paths"])


@pytest.mark.parametrize("page", reference.PAGES)
def test_what_is_generated_from_the_code_is_in_step_with_it(page: str) -> None:
    assert (ROOT / page).read_text() == reference.PAGES[page](), "write it anew: make reference"


def test_every_variable_of_the_settings_is_in_the_configuration_reference() -> None:
    documented = {variable.name for variable in reference.variables()}
    assert set(reference.settings_read()) == documented
    assert all(variable.meaning for variable in reference.variables())


@each_operation
def test_every_operation_says_what_it_does_and_who_may(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert "security" in operation
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    for status, response in operation["responses"].items():
        assert response["description"], status
        assert "X-Request-Id" in response["headers"], status


def test_the_ids_of_operations_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in operations(DOCUMENT)]
    assert len(ids) == len(set(ids))


def test_ids_are_integers_in_bodies_and_in_paths() -> None:
    for path, _, operation in operations(DOCUMENT):
        for parameter in operation.get("parameters", ()):
            if parameter.get("in") == "path":
                text = parameter["name"] in ("externalId", "sessionId")
                assert parameter["schema"]["type"] == ("string" if text else "integer"), path
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for member, described in schema.get("properties", {}).items():
            ours = name not in (
                "Event",
                "PaymentLink",
                "Problem",
                "ServiceEvent",
            ) and member not in (
                "sessionId",
                "externalId",
            )
            if ours and (member == "id" or member.endswith("Id")):
                assert "integer" in described["type"], f"{name}.{member}"


def security(operation_id: str) -> set[str]:
    found = {each["operationId"]: each for _, _, each in operations(DOCUMENT)}
    return {name for scheme in found[operation_id]["security"] for name in scheme}


def test_an_api_key_may_not_make_keys_and_alone_is_verified() -> None:
    for operation_id in ("api_keys_create", "api_keys_reveal", "api_keys_rotate"):
        assert security(operation_id) == {"jwt", "session"}
    for operation_id in ("api_keys_list", "api_keys_delete", "payment_link_create", "orders_list"):
        assert security(operation_id) == {"apiKey", "jwt", "session"}
    assert security("api_keys_verify") == {"apiKey"}
    assert security("stripe_event") == {"stripeSignature"}
    assert security("token_create") == security("healthz") == set()


def test_a_request_body_has_no_member_that_only_an_answer_has() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["NewConversation"]["properties"]) == {"title", "externalId", "metadata"}
    assert schemas["NewConversation"]["required"] == ["title"]
    assert schemas["KeyName"]["required"] == ["name"]
    assert schemas["LinkRequest"]["required"] == ["conversationId"]
    # openapi-typescript makes a member with a default required.
    assert "default" not in schemas["LinkRequest"]["properties"]["tier"]
    assert set(schemas["Conversation"]["required"]) == set(schemas["Conversation"]["properties"])


def test_statuses_are_named_enums() -> None:
    enums = {name for name, schema in DOCUMENT["components"]["schemas"].items() if "enum" in schema}
    assert {"PaymentStatus", "OrderStatus", "DisputeStatus", "KeyState", "ProblemCode"} <= enums
    assert "StatusEnum" not in enums


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """(where, schema, value) of every example."""
    for path, method, operation in operations(DOCUMENT):
        for body in [operation.get("requestBody", {}), *operation["responses"].values()]:
            for media_type, content in body.get("content", {}).items():
                where = f"{method.upper()} {path}, {media_type}"
                if "example" in content:
                    yield where, content["schema"], content["example"]
                for name, example in content.get("examples", {}).items():
                    value = DOCUMENT["components"]["examples"][name]["value"]
                    assert example == {"$ref": f"#/components/examples/{name}"}
                    yield where, content["schema"], value


def test_every_body_has_an_example_that_is_valid() -> None:
    found = list(examples())
    assert len(found) > 100
    for where, schema, value in found:
        whole = {**schema, "components": DOCUMENT["components"]}
        validator = Draft202012Validator(whole, validate_formats=True)
        assert [error.message for error in validator.iter_errors(value)] == [], where
    with_bodies = [
        content
        for _, _, operation in operations(DOCUMENT)
        for body in [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in body.get("content", {}).values()
    ]
    assert all("example" in content or "examples" in content for content in with_bodies)


def codes_in_the_code() -> set[str]:
    """Every code that an exception class or a call of `problem` and the like names."""
    refusals: list[Any] = [ApiKeyError, CheckoutError, StripeFailed]
    for refusal in refusals:
        refusals += refusal.__subclasses__()
    found = {str(refusal.code) for refusal in refusals} - {"refused", UnknownTier.code}
    found |= {each.default_code for each in exceptions.APIException.__subclasses__()}
    for app in ("payflow", "apikeys", "accounts", "billing", "conversations", "restapi"):
        for path in (ROOT / app).rglob("*.py"):
            if "tests" not in path.parts:
                found |= set(codes_named(ast.parse(path.read_text())))
    return found - {"error", "invalid", "not_acceptable"}  # of DRF, and never sent


def codes_named(tree: ast.Module) -> Iterator[str]:
    """The literal codes of `problem(400, code, …)`, `ParseError(…, code)` and `code = …`."""
    places = {"problem": 1, "ParseError": 1, "MalformedAuthorization": 0}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            place = places.get(ast.unparse(node.func).rpartition(".")[2])
            if place is not None and len(node.args) > place:
                literal = node.args[place]
                if isinstance(literal, ast.Constant):
                    yield str(literal.value)


def test_every_problem_code_of_the_code_is_documented() -> None:
    found = codes_in_the_code()
    assert len(found) > 25
    assert found - set(PROBLEM_CODES) == set()


def test_the_schema_is_answered_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Client().get("/api/schema")
    assert first.status_code == 200
    assert first.json() == json.loads(json.dumps(DOCUMENT))
    monkeypatch.setattr(documents, "SchemaGenerator", None)
    again = Client().get("/api/schema", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
