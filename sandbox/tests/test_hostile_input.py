"""Hostile input: every response is one of Stripe's errors and the server keeps running."""

from __future__ import annotations

import gzip
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.testing import RunningSandbox

pytestmark = pytest.mark.http

KEY = {"Authorization": "Bearer sk_test_x"}
FORM = {**KEY, "Content-Type": "application/x-www-form-urlencoded"}
SESSIONS = "/v1/checkout/sessions"
ORDER = "mode=payment&line_items[0][price]=price_sandbox_premium&line_items[0][quantity]=1"

REQUESTS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "an unknown path": ("GET", "/v1/nonsense", {"headers": KEY}, 404),
    "the root of the API": ("GET", "/v1", {"headers": KEY}, 404),
    "the second version": ("POST", "/v2/core/events", {"headers": KEY}, 404),
    "a wrong method": ("DELETE", SESSIONS, {"headers": KEY}, 404),
    "a method without a route": ("PATCH", f"{SESSIONS}/cs_x", {"headers": KEY}, 404),
    "no key": ("GET", SESSIONS, {}, 401),
    "an empty key": ("GET", SESSIONS, {"headers": {"Authorization": "Bearer "}}, 401),
    "broken basic": ("GET", SESSIONS, {"headers": {"Authorization": "Basic %%%"}}, 401),
    "a key that is not ASCII": (
        "GET",
        SESSIONS,
        {"headers": {"Authorization": "Bearer sk_test_é".encode("latin-1")}},
        401,
    ),
    "JSON": ("POST", SESSIONS, {"headers": KEY, "json": {"mode": "payment"}}, 400),
    "a file": ("POST", SESSIONS, {"headers": KEY, "files": {"mode": b"payment"}}, 400),
    "bytes that are not text": ("POST", SESSIONS, {"headers": FORM, "data": b"\xff\x00"}, 400),
    "encoded bytes that are not text": ("POST", SESSIONS, {"headers": FORM, "data": "a=%ff"}, 400),
    "brackets astray": ("POST", SESSIONS, {"headers": FORM, "data": "a]b[=1"}, 400),
    "a value that is also an object": (
        "POST",
        SESSIONS,
        {"headers": FORM, "data": "metadata=1&metadata[a]=2"},
        400,
    ),
    "an object for a text": ("POST", SESSIONS, {"headers": FORM, "data": "mode[a]=1"}, 400),
    "a text for an object": (
        "POST",
        SESSIONS,
        {
            "headers": FORM,
            "data": "mode=payment&success_url=http://x/&metadata=1"
            "&line_items[][price]=price_sandbox_premium&line_items[][quantity]=1",
        },
        400,
    ),
    "great depth": ("POST", SESSIONS, {"headers": FORM, "data": f"a{'[b]' * 5000}=1"}, 400),
    "many fields": ("POST", SESSIONS, {"headers": FORM, "data": "&".join(["a=1"] * 5000)}, 400),
    "a huge index": (
        "POST",
        SESSIONS,
        {"headers": FORM, "data": f"mode=payment&line_items[{'9' * 500}][price]=x"},
        400,
    ),
    "a huge number": (
        "POST",
        "/v1/payment_intents",
        {"headers": FORM, "data": f"currency=usd&amount={'9' * 5000}"},
        400,
    ),
    "a huge body": ("POST", SESSIONS, {"headers": FORM, "data": b"a" * (2**20 + 1)}, 413),
    "a huge limit": ("GET", f"{SESSIONS}?limit=99999999999999999999", {"headers": KEY}, 400),
    "a strange version": (
        "GET",
        SESSIONS,
        {"headers": {**KEY, "Stripe-Version": "yesterday"}},
        400,
    ),
    "a long key for repeats": (
        "POST",
        SESSIONS,
        {"headers": {**FORM, "Idempotency-Key": "k" * 256}, "data": "mode=payment"},
        400,
    ),
    "SQL in an id": ("GET", f"{SESSIONS}/' OR 1=1 --", {"headers": KEY}, 404),
    "SQL in a filter": ("GET", f"{SESSIONS}?customer=' OR 1=1 --", {"headers": KEY}, 200),
    "another kind's id": ("GET", f"{SESSIONS}/price_sandbox_premium", {"headers": KEY}, 404),
    "a path outside of the API": ("GET", "/nonsense", {}, 404),
    "an address with half a host": (
        "POST",
        SESSIONS,
        {"headers": FORM, "data": f"{ORDER}&success_url=http://["},
        400,
    ),
    "an address with an impossible port": (
        "POST",
        SESSIONS,
        {"headers": FORM, "data": f"{ORDER}&success_url=http://x:99999/"},
        400,
    ),
    "an address that is code": (
        "POST",
        SESSIONS,
        {"headers": FORM, "data": f"{ORDER}&success_url=http://x/&cancel_url=javascript:x"},
        400,
    ),
    "an address with a line break": (
        "POST",
        SESSIONS,
        {"headers": FORM, "data": f"{ORDER}&success_url=http://x/%0d%0aSet-Cookie:a"},
        400,
    ),
    "an endpoint with half a host": (
        "POST",
        "/v1/webhook_endpoints",
        {"headers": FORM, "data": "url=http://[&enabled_events[]=*"},
        400,
    ),
    "an event that does not exist": (
        "POST",
        "/v1/webhook_endpoints",
        {"headers": FORM, "data": "url=http://x/&enabled_events[]=payment_intent.failed"},
        400,
    ),
    "an object for a token": (
        "POST",
        "/v1/payment_methods",
        {"headers": FORM, "data": "type=card&card[token][a]=1"},
        400,
    ),
    "an object for an email": (
        "POST",
        "/v1/payment_methods",
        {"headers": FORM, "data": "type=card&card[token]=tok_visa&billing_details[email][a]=1"},
        400,
    ),
    "a text for an address": (
        "POST",
        "/v1/payment_methods",
        {"headers": FORM, "data": "type=card&card[token]=tok_visa&billing_details[address]=1"},
        400,
    ),
    "a currency that is none": (
        "POST",
        "/v1/payment_intents",
        {"headers": FORM, "data": "amount=100&currency=<b>"},
        400,
    ),
    "metadata that looks like an object": (
        "POST",
        SESSIONS,
        {
            "headers": FORM,
            "data": f"{ORDER}&success_url=http://x/&metadata[object]=checkout.session"
            "&expand[]=metadata.line_items",
        },
        400,
    ),
    "a body that is not what it says": (
        "POST",
        SESSIONS,
        {"headers": {**FORM, "Content-Encoding": "gzip"}, "data": b"no gzip"},
        400,
    ),
    "a body that grows": (
        "POST",
        SESSIONS,
        {"headers": {**FORM, "Content-Encoding": "gzip"}, "data": gzip.compress(b"a" * 2**24)},
        413,
    ),
    "a key for repeats that is not text": (
        "POST",
        SESSIONS,
        {"headers": {**FORM, "Idempotency-Key": b"\xff\xfe"}, "data": "mode=payment"},
        400,
    ),
    "a long address": ("GET", f"/v1/{'a' * 20000}", {"headers": KEY}, 400),
    "a method that is none": ("NONSENSE", SESSIONS, {"headers": KEY}, 400),
    "a long header": ("GET", SESSIONS, {"headers": {**KEY, "X": "a" * 20000}}, 400),
    "a path with a null": ("GET", f"{SESSIONS}/%00", {"headers": KEY}, 404),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_answer_is_stripe_shaped(sandbox: RunningSandbox, name: str) -> None:
    method, path, arguments, status = REQUESTS[name]

    response = requests.request(method, sandbox.url + path, timeout=10, **arguments)

    assert response.status_code == status
    assert response.headers["Request-Id"].startswith("req_")
    if status != 200:
        error = response.json()["error"]
        assert error["type"] == "invalid_request_error" or "dempotency" in error["message"]
        assert error["message"]
        assert "Traceback" not in response.text


def test_what_is_not_http_is_refused_and_the_server_goes_on(sandbox: RunningSandbox) -> None:
    port = urlsplit(sandbox.url).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=5) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = connection.recv(65536)

    assert b"400" in answer.split(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert requests.get(f"{sandbox.url}/v1/events", headers=KEY, timeout=5).ok


def test_a_client_that_leaves_in_the_middle_is_no_failure(
    sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    port = urlsplit(sandbox.url).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=5) as connection:
        connection.sendall(
            b"POST /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n"
            b"Authorization: Bearer sk_test_x\r\n\r\nna"
        )

    assert requests.get(f"{sandbox.url}/v1/events", headers=KEY, timeout=5).ok
    time.sleep(0.05)
    assert [each.message for each in caplog.records if each.name == "sandbox"] == []


@pytest.mark.parametrize(
    "body",
    [
        "line_items[0][price]=price_sandbox_premium&line_items[0][quantity]=3",
        "line_items[][price]=price_sandbox_premium&line_items[][quantity]=3",
        "line_items[7][quantity]=3&line_items[7][price]=price_sandbox_premium",
    ],
)
def test_lists_are_understood_in_every_spelling(sandbox: RunningSandbox, body: str) -> None:
    data = f"mode=payment&success_url=http://x.test/&expand[]=line_items&{body}"

    response = requests.post(sandbox.url + SESSIONS, data=data, headers=FORM, timeout=5)

    assert response.json()["amount_total"] == 6000
    assert [item["quantity"] for item in response.json()["line_items"]["data"]] == [3]


def test_a_discount_of_all_leaves_nothing_however_much_it_was(sandbox: RunningSandbox) -> None:
    def post(path: str, data: str) -> Any:
        return requests.post(sandbox.url + path, data=data, headers=FORM, timeout=5).json()

    price = post("/v1/prices", "currency=usd&unit_amount=99999999999&product_data[name]=x")["id"]
    coupon = post("/v1/coupons", "percent_off=100")["id"]

    session = post(
        SESSIONS,
        f"mode=payment&success_url=http://x/&discounts[][coupon]={coupon}"
        f"&line_items[][price]={price}&line_items[][quantity]=999999999999999",
    )

    assert session["amount_total"] == 0


def test_an_old_or_unnamed_version_still_takes_payment_method_types(
    sandbox: RunningSandbox,
) -> None:
    data = (
        "mode=payment&success_url=http://x.test/&payment_method_types[]=card"
        "&line_items[0][price]=price_sandbox_premium&line_items[0][quantity]=1"
    )
    versions = [{}, {"Stripe-Version": "2025-03-31.basil"}]
    refused = {"Stripe-Version": "2026-10-28.endive"}

    def status(version: dict[str, str]) -> int:
        headers = {**FORM, **version}
        return requests.post(
            sandbox.url + SESSIONS, data=data, headers=headers, timeout=5
        ).status_code

    assert [status(version) for version in versions] == [200, 200]
    assert status(refused) == 400
