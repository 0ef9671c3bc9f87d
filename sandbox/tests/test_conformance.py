"""The comparison with Stripe's description finds what differs."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from sandbox.conformance.__main__ import main
from sandbox.conformance.base_requests import BaseRequest
from sandbox.conformance.client import Client, Recording, Response, flatten
from sandbox.conformance.npm import NotInstalledError, install
from sandbox.conformance.parameter_checks import check_parameters
from sandbox.conformance.validation import Report, Schema
from sandbox.json_types import JsonObject
from sandbox.testing import running


def described(**properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name != "note"],
        "additional": False,
    }


TEXT: JsonObject = {"type": "string"}
NULL: JsonObject = {"type": "null"}
COLOURS: JsonObject = {"enum": ["red", "blue"]}
SCHEMA: JsonObject = {
    "version": "2026-10-28.endive",
    "defs": {
        "Book": described(
            object={"enum": ["book"]},
            id=TEXT,
            price={"type": "string", "format": "decimal"},
            author={"anyOf": [TEXT, NULL, {"$ref": "Author"}]},
            colour=COLOURS,
            pages={"type": "number"},
            note=TEXT,
        ),
        "Author": described(object={"enum": ["author"]}, name=TEXT),
        "PaymentIntent": described(object={"enum": ["payment_intent"]}),
        "PaymentIntent.LastPaymentError": described(message=TEXT, type=TEXT),
    },
    "routes": [
        {"method": "GET", "path": "/v1/books/{}", "params": None, "answer": {"$ref": "Book"}},
        {
            "method": "GET",
            "path": "/v1/books",
            "params": None,
            "answer": {"list": {"$ref": "Book"}},
        },
        {
            "method": "GET",
            "path": "/v1/books/search",
            "params": None,
            "answer": {"list": {"$ref": "Book"}, "search": True},
        },
    ],
    "events": {
        "book.created": {
            "event": described(
                object={"enum": ["event"]}, type=TEXT, data=described(object={"$ref": "Book"})
            )
        }
    },
}
BOOK: JsonObject = {
    "object": "book",
    "id": "b_1",
    "price": "1.50",
    "author": None,
    "colour": "red",
    "pages": 3,
}


def compare(body: JsonObject, path: str = "/v1/books/b_1", status: int = 200) -> Report:
    recording = Recording(responses=[Response("GET", path, status, body)])
    return Schema(copy.deepcopy(SCHEMA)).compare(recording)


def test_an_object_with_all_fields_conforms() -> None:
    report = compare({**BOOK, "author": {"object": "author", "name": "A"}})

    assert report.conforms
    assert report.conforming == {"book": 1, "author": 1}


@pytest.mark.parametrize(
    ("change", "kind", "path", "what"),
    [
        ({"id": ...}, "book", "id", "missing"),
        ({"isbn": "1"}, "book", "isbn", "unknown"),
        ({"pages": "3"}, "book", "pages", "type"),
        ({"pages": True}, "book", "pages", "type"),
        ({"price": "a"}, "book", "price", "type"),
        ({"colour": "green"}, "book", "colour", "choice"),
        ({"author": {"object": "author", "name": None}}, "author", "name", "type"),
        ({"author": {"object": "author"}}, "author", "name", "missing"),
    ],
)
def test_a_deviation_is_found(change: JsonObject, kind: str, path: str, what: str) -> None:
    body = {name: value for name, value in {**BOOK, **change}.items() if value is not ...}

    report = compare(body)

    (deviation,) = report.deviations
    assert (deviation.kind, deviation.path, deviation.what) == (kind, path, what)
    assert report.conforming[kind] == 0
    assert not report.conforms


def test_a_search_is_not_taken_for_an_object_with_that_id() -> None:
    found = {
        "object": "search_result",
        "data": [BOOK],
        "has_more": False,
        "url": "/v1/books/search",
    }

    assert compare({**found, "next_page": None}, "/v1/books/search").conforms


def test_an_object_in_a_list_is_compared() -> None:
    books = {"object": "list", "data": [BOOK, {**BOOK, "x": 1}], "has_more": False, "url": "/"}

    report = compare(books, "/v1/books")

    assert (report.conforming["list"], report.total["book"], report.conforming["book"]) == (1, 2, 1)


def test_an_error_has_the_fields_of_an_error() -> None:
    good = compare({"error": {"message": "m", "type": "t"}}, status=400)
    bad = compare({"error": {"message": "m", "type": "t", "colour": "red"}}, status=400)

    assert (good.conforms, bad.conforms) == (True, False)


def test_a_route_that_stripe_does_not_have_is_named() -> None:
    assert compare({}, "/v1/pages/1").private == {"GET /v1/pages/1"}


@pytest.mark.parametrize(
    ("event", "conforms"),
    [
        ({"object": "event", "type": "book.created", "data": {"object": BOOK}}, True),
        ({"object": "event", "type": "book.burnt", "data": {"object": BOOK}}, False),
    ],
)
def test_events_are_compared_by_their_type(event: JsonObject, conforms: bool) -> None:
    report = Schema(copy.deepcopy(SCHEMA)).compare(Recording(events=[event]))

    assert report.conforms == conforms


def test_parameters_are_encoded_as_stripe_encodes_them() -> None:
    encoded = dict(flatten({"a": {"b": True}, "c": [{"d": 1}], "e": None, "f": []}))

    assert encoded == {"a[b]": "true", "c[0][d]": "1", "e": "", "f": ""}


@pytest.mark.http
def test_a_parameter_that_is_not_handled_is_found() -> None:
    params = dict.fromkeys(("name", "description", "isbn"), TEXT)
    schema = copy.deepcopy(SCHEMA)
    route = {"method": "POST", "path": "/v1/products", "params": described(**params), "answer": {}}
    schema["routes"].append(route)
    request = BaseRequest("POST /v1/products", lambda: "/v1/products", lambda: {"name": "Book"})

    with running(webhook=None) as sandbox:
        report = check_parameters(Client(sandbox), Schema(schema), [request])

    assert (report.documented, report.used) == (3, 2)
    assert [(each.what, each.text) for each in report.findings] == [
        ("isbn", "refused: Received unknown parameter: isbn"),
        ("description: missing", "accepted"),
        ("isbn: missing", "accepted"),
    ]


def test_missing_node_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotInstalledError, match="node is not in PATH"):
        install(tmp_path / "packages")


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_without_node_the_command_fails_in_ci_only(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    ci: str,
    status: int,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)

    assert main(["--folder", str(tmp_path)]) == status
    assert "conformance is not checked: node is not in PATH" in capsys.readouterr().err
