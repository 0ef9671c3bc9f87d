"""Faults of single API requests, and the log of requests received."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
import stripe

from sandbox.testing import RunningSandbox
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http


def send(sandbox: RunningSandbox, **fault: Any) -> dict[str, Any]:
    """Set a fault over HTTP, as a test in another language does."""
    response = requests.post(f"{sandbox.url}/sandbox/faults", json=fault, timeout=5)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def create(shop: Shop, name: str = "Book") -> str:
    return shop.client.v1.products.create({"name": name}).id


def client_of(sandbox: RunningSandbox, *, retries: int = 0) -> stripe.StripeClient:
    """A client that does not retry, unless it is told to."""
    return stripe.StripeClient(
        "sk_test_sandbox",
        base_addresses={"api": sandbox.url},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=(2, 10)),
    )


def test_the_next_requests_of_one_route_fail(shop: Shop, sandbox: RunningSandbox) -> None:
    client = client_of(sandbox)
    send(sandbox, method="POST", path="/v1/products", times=2, status=500)

    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            client.v1.products.create({"name": "Book"})
        assert failed.value.http_status == 500
    client.v1.prices.list()

    assert client.v1.products.create({"name": "Book"}).name == "Book"
    assert len(sandbox.events("product.created")) == 1


def test_an_error_has_the_type_code_and_message_that_were_asked_for(
    sandbox: RunningSandbox,
) -> None:
    sandbox.add_fault(
        path="/v1/refunds",
        status=400,
        type="invalid_request_error",
        code="charge_already_refunded",
        message="It was refunded before.",
    )

    with pytest.raises(stripe.InvalidRequestError, match="refunded before") as failed:
        client_of(sandbox).v1.refunds.create({"payment_intent": "pi_any"})

    assert failed.value.code == "charge_already_refunded"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, stripe.AuthenticationError),
        (402, stripe.CardError),
        (403, stripe.PermissionError),
        (429, stripe.RateLimitError),
        (503, stripe.APIError),
    ],
)
def test_an_error_of_a_status_is_the_one_that_the_sdk_knows(
    sandbox: RunningSandbox, status: int, kind: type[stripe.StripeError]
) -> None:
    sandbox.add_fault(path="/v1/balance", status=status)

    with pytest.raises(kind):
        client_of(sandbox).v1.balance.retrieve()


def test_a_fault_can_leave_the_first_requests_alone(shop: Shop, sandbox: RunningSandbox) -> None:
    sandbox.add_fault(path="/v1/products", times=1, after=1, status=500)
    client = client_of(sandbox)

    client.v1.products.create({"name": "First"})
    with pytest.raises(stripe.APIError):
        client.v1.products.create({"name": "Second"})
    client.v1.products.create({"name": "Third"})

    names = [each["data"]["object"]["name"] for each in sandbox.events("product.created")]
    assert names == ["First", "Third"]


def test_a_request_is_delayed(shop: Shop, sandbox: RunningSandbox) -> None:
    sandbox.add_fault(path="/v1/products", times=1, delay=2)

    began = time.monotonic()
    create(shop)
    late = time.monotonic() - began
    began = time.monotonic()
    create(shop)

    assert late >= 2
    assert time.monotonic() - began < 2


def test_a_lost_request_is_not_carried_out(shop: Shop, sandbox: RunningSandbox) -> None:
    sandbox.add_fault(path="/v1/products", drop="request")

    with pytest.raises(stripe.APIConnectionError):
        client_of(sandbox).v1.products.create({"name": "Lost"})

    assert sandbox.events("product.created") == []


def test_a_request_whose_answer_is_lost_was_carried_out(
    shop: Shop, sandbox: RunningSandbox
) -> None:
    sandbox.add_fault(method="POST", path="/v1/products", times=1, drop="answer")

    with pytest.raises(stripe.APIConnectionError):
        client_of(sandbox).v1.products.create({"name": "Made"})

    assert len(sandbox.events("product.created")) == 1


def test_a_retry_after_a_lost_answer_gets_the_first_one(sandbox: RunningSandbox) -> None:
    sandbox.add_fault(method="POST", path="/v1/products", times=1, drop="answer")

    made = client_of(sandbox, retries=1).v1.products.create({"name": "Once"})

    assert [each["data"]["object"]["id"] for each in sandbox.events("product.created")] == [made.id]
    first, second = sandbox.requests(path="/v1/products")
    assert first.idempotency_key == second.idempotency_key
    assert (first.status, first.replayed) == (0, False)
    assert (second.status, second.replayed) == (200, True)


def test_faults_are_listed_and_removed(sandbox: RunningSandbox) -> None:
    url = f"{sandbox.url}/sandbox/faults"
    first = send(sandbox, path="/v1/a", status=500)
    send(sandbox, path="/v1/b", delay=1)

    listed = requests.get(url, timeout=5).json()["faults"]
    removed = requests.delete(f"{url}/{first['id']}", timeout=5).json()
    unknown = requests.delete(f"{url}/{first['id']}", timeout=5)

    assert [each["path"] for each in listed] == ["/v1/a", "/v1/b"]
    assert (removed, unknown.status_code) == ({"removed": 1}, 404)
    assert requests.delete(url, timeout=5).json() == {"removed": 1}
    assert requests.get(url, timeout=5).json() == {"faults": []}


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"status": 200},
        {"status": "soon"},
        {"status": 500, "times": -1},
        {"status": 500, "times": 1.5},
        {"status": 500, "method": "PATCH"},
        {"status": 500, "type": "odd_error"},
        {"drop": "everything"},
        {"delay": 1e9},
        {"status": 500, "nothing": 1},
    ],
)
def test_a_wrong_fault_is_refused(sandbox: RunningSandbox, fault: dict[str, Any]) -> None:
    response = requests.post(f"{sandbox.url}/sandbox/faults", json=fault, timeout=5)

    assert response.status_code == 400
    assert "fault" in response.json()["error"]["message"].lower()


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000])
def test_a_fault_that_is_no_json_object_is_refused(sandbox: RunningSandbox, body: bytes) -> None:
    response = requests.post(
        f"{sandbox.url}/sandbox/faults",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=5,
    )

    assert response.status_code == 400


def test_the_control_page_sets_shows_and_removes_faults(sandbox: RunningSandbox) -> None:
    html = {"Accept": "text/html"}
    fields = {"method": "POST", "path": "/v1/refunds", "times": "3", "status": "500", "drop": ""}

    page = requests.post(f"{sandbox.url}/sandbox/faults", data=fields, headers=html, timeout=5).text
    cleared = requests.post(f"{sandbox.url}/sandbox/faults/clear", timeout=5).text

    assert "POST /v1/refunds" in page
    assert "error 500" in page
    assert "Remove all faults" not in cleared


def test_the_requests_received_can_be_asserted_on(shop: Shop, sandbox: RunningSandbox) -> None:
    session = shop.session(amount=700)
    with pytest.raises(stripe.InvalidRequestError):
        shop.client.v1.refunds.create({"payment_intent": "pi_none"})

    (made,) = sandbox.requests(method="POST", path="/v1/checkout/sessions")
    listed = requests.get(
        f"{sandbox.url}/sandbox/requests",
        params={"method": "post", "path": "/v1/*"},
        timeout=5,
    ).json()["requests"]

    assert session.last_response is not None
    assert made.id == session.last_response.request_id
    assert made.params["line_items"]["0"]["price_data"]["unit_amount"] == "700"
    assert made.api_version == stripe.api_version
    assert [(each["path"], each["status"], each["error"]) for each in listed] == [
        ("/v1/checkout/sessions", 200, None),
        ("/v1/refunds", 400, "resource_missing"),
    ]


def test_the_log_holds_no_keys_and_no_card_numbers(shop: Shop, sandbox: RunningSandbox) -> None:
    card: Any = {"number": "4242424242424242", "cvc": "987", "exp_month": 12, "exp_year": 2034}
    shop.client.v1.payment_methods.create({"type": "card", "card": card})

    text = requests.get(f"{sandbox.url}/sandbox/requests", timeout=5).text

    assert "payment_methods" in text
    assert "4242424242424242" not in text
    assert "987" not in text
    assert "sk_test" not in text


def test_the_log_is_cleared_and_bounded(shop: Shop, sandbox: RunningSandbox) -> None:
    create(shop)
    requests.delete(f"{sandbox.url}/sandbox/requests", timeout=5)
    assert sandbox.requests() == []

    with requests.Session() as http:
        for _ in range(1005):
            http.get(f"{sandbox.url}/v1/nothing", timeout=5)

    assert len(sandbox.requests()) == 1000


def test_the_control_page_shows_the_last_requests(shop: Shop) -> None:
    create(shop)

    assert "POST /v1/products" in shop.page("/sandbox")


def test_a_fault_may_be_of_one_api_key(shop: Shop, sandbox: RunningSandbox) -> None:
    """As after a key was rolled: the old one is refused, the new one works."""
    old, new = (
        stripe.StripeClient(key, base_addresses={"api": sandbox.url}, max_network_retries=0)
        for key in ("sk_test_old", "sk_test_new")
    )
    send(sandbox, key="_old", status=401, code="api_key_expired")

    with pytest.raises(stripe.AuthenticationError) as refused:
        old.v1.products.create({"name": "Book"})
    assert "api_key_expired" in str(refused.value.http_body)

    assert new.v1.products.create({"name": "Book"}).name == "Book"
