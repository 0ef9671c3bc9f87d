"""Everything under /api answers in JSON, and every error as a problem document."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings

from accounts.models import User
from accounts.tokens import issue_access

MEMBERS = {"type", "title", "status", "detail", "code"}


def assert_problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) >= MEMBERS
    assert body["status"] == status
    return body


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/conversations/",
        "/api/api-keys/x/y",
        "/api/%00",
        "/api/a%0ab",
    ],
)
def test_an_unknown_route_is_a_404_problem(path: str, debug: bool) -> None:
    client = Client(enforce_csrf_checks=True)
    with override_settings(DEBUG=debug):
        for method in (client.get, client.post, client.delete, client.options):
            assert assert_problem(method(path), 404)["code"] == "not_found"


@pytest.mark.django_db
def test_a_wrong_method_is_a_405_problem(stranger: User) -> None:
    headers = {"Authorization": f"Bearer {issue_access(stranger)}"}
    response = Client().put("/api/conversations", headers=headers)
    assert assert_problem(response, 405)["code"] == "method_not_allowed"
    assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


@pytest.mark.django_db
def test_a_bad_body_has_pointers_to_its_errors(stranger: User) -> None:
    headers = {"Authorization": f"Bearer {issue_access(stranger)}"}
    response = Client().post(
        "/api/conversations", "{}", content_type="application/json", headers=headers
    )
    assert assert_problem(response, 400)["errors"] == [
        {"pointer": "/title", "code": "required", "detail": "This field is required."}
    ]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.postgres
@pytest.mark.django_db
def test_an_unexpected_exception_is_a_500_problem_without_its_text(
    stranger: User, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    headers = {"Authorization": f"Bearer {issue_access(stranger)}", "X-Request-Id": "abc-123"}
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE conversations RENAME COLUMN title TO no_longer_a_title")
    with caplog.at_level(logging.ERROR), override_settings(DEBUG=debug):
        response = Client().get("/api/conversations", headers=headers)
    body = assert_problem(response, 500)
    assert body["code"] == "internal_error"
    assert body["requestId"] == "abc-123"
    assert response.headers["X-Request-Id"] == "abc-123"
    assert "title" not in body["detail"]
    assert "no_longer_a_title" not in response.content.decode()
    assert "Unhandled ProgrammingError" in caplog.text


def test_a_huge_body_is_refused_before_it_is_read() -> None:
    response = Client().post(
        "/api/auth/token", b"x" * (1024 * 1024 + 1), content_type="application/json"
    )
    assert assert_problem(response, 413)["code"] == "body_too_large"


@pytest.mark.parametrize("debug", [False, True])
def test_a_wrong_host_is_a_400_problem(debug: bool) -> None:
    with override_settings(DEBUG=debug):
        response = Client().get("/api/conversations", headers={"Host": "evil.example"})
    assert_problem(response, 400)


def test_a_body_of_unknown_length_is_refused_instead_of_read_as_empty() -> None:
    response = Client().post(
        "/api/webhooks/stripe", headers={"Transfer-Encoding": "chunked", "Content-Length": ""}
    )
    assert assert_problem(response, 411)["code"] == "length_required"


def test_a_body_nested_too_deep_is_a_400_problem() -> None:
    response = Client().post("/api/auth/token", "[" * 200_000, content_type="application/json")
    assert assert_problem(response, 400)["code"] == "parse_error"


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", ["cD1hYmM=", "cD0xZTk5", "x", "%00"])
@pytest.mark.parametrize("path", ["/api/conversations", "/api/orders"])
def test_a_malformed_cursor_is_a_400_problem(stranger: User, path: str, cursor: str) -> None:
    headers = {"Authorization": f"Bearer {issue_access(stranger)}"}
    response = Client().get(path, {"cursor": cursor}, headers=headers)
    body = assert_problem(response, 400)
    assert (body["code"], body["errors"][0]["parameter"]) == ("invalid_parameter", "cursor")


@pytest.mark.parametrize("version", ["\x00", "a\nb", "1"])
def test_the_schema_takes_no_version_from_the_query(version: str) -> None:
    response = Client().get("/api/schema", {"version": version})
    assert response.status_code == 200
    assert response.json()["info"]["version"] == "2026-11-26"


@pytest.mark.parametrize("accept", ["application/problem+json", "text/html", "image/png"])
def test_the_answer_is_json_whatever_the_client_accepts(accept: str) -> None:
    response = Client().get("/api/conversations", headers={"Accept": accept})
    assert_problem(response, 401)


@pytest.mark.parametrize("offered", ["", "two words", "x" * 65, "line\x0bbreak", "é"])
def test_an_unsafe_request_id_is_replaced(offered: str) -> None:
    response = Client().get("/healthz", headers={"X-Request-Id": offered})
    chosen = response.headers["X-Request-Id"]
    assert chosen != offered
    assert len(chosen) == 16


def test_an_unknown_page_is_a_404_page() -> None:
    response = Client().get("/nothing")
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")
