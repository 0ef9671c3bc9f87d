"""Reset, seed, health and fixtures; access under another name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

from sandbox.fixtures import FixtureError
from sandbox.options import SANDBOX_PRICE
from sandbox.testing import RunningSandbox, running
from sandbox.tests.receiver import Receiver
from sandbox.tests.shop import Shop
from sandbox.tests.test_process import process, ready_url, rest_of

pytestmark = pytest.mark.http

BOOK: dict[str, Any] = {
    "_meta": {"template_version": 0},
    "fixtures": [
        {
            "name": "book",
            "path": "/v1/products",
            "method": "post",
            "params": {"id": "book", "name": "Book", "metadata": {"shelf": 3}},
        },
        {
            "name": "price",
            "path": "/v1/prices",
            "method": "post",
            "params": {
                "product": "${book:id}",
                "currency": "eur",
                "unit_amount": 900,
                "lookup_key": "${book:nothing|book}",
                "active": True,
            },
        },
        {
            "name": "declined",
            "path": "/v1/payment_intents",
            "method": "post",
            "expected_error_type": "card_error",
            "params": {
                "amount": 900,
                "currency": "eur",
                "payment_method": "pm_card_chargeDeclined",
                "payment_method_types": ["card"],
                "confirm": True,
            },
        },
    ],
}


def client_for(url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        "sk_test_x", base_addresses={"api": url}, http_client=stripe.RequestsClient()
    )


def test_health_says_that_it_runs_and_which_version(sandbox: RunningSandbox) -> None:
    sandbox.wait_idle()

    answer = requests.get(f"{sandbox.url}/sandbox/health", timeout=5).json()

    assert answer["status"] == "ok"
    assert answer["idle"] is True
    assert answer["api_version"] == stripe.api_version


def test_health_is_not_idle_while_a_delivery_waits(shop: Shop) -> None:
    url = f"{shop.sandbox.url}/sandbox/health"
    shop.sandbox.set_switches(delay=2)
    shop.client.v1.products.create({"name": "Book"})

    before = requests.get(url, params={"within": "5"}, timeout=5).json()["idle"]
    shop.sandbox.wait_idle()

    assert before is False
    assert requests.get(url, params={"within": "5"}, timeout=5).json()["idle"] is True
    assert requests.get(url, params={"within": "soon"}, timeout=5).status_code == 400


def test_a_reset_forgets_everything_but_the_configuration(
    shop: Shop, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    paid = shop.paid()
    secret = sandbox.webhook_secret
    sandbox.advance_clock(3600)
    sandbox.set_switches(api_delay=0.01)
    sandbox.add_fault(path="/v1/refunds", status=500)

    assert requests.post(f"{sandbox.url}/sandbox/reset", timeout=5).status_code == 200

    assert shop.client.v1.checkout.sessions.list().data == []
    assert shop.client.v1.events.list().data == []
    assert shop.client.v1.prices.retrieve(SANDBOX_PRICE).unit_amount == 2000
    assert sandbox.deliveries() == []
    assert [each.path for each in sandbox.requests(path="/v1/refunds")] == []
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        shop.client.v1.refunds.create({"payment_intent": paid["payment_intent"]})
    assert sandbox.webhook_secret == secret
    receiver.received.clear()
    shop.paid()
    assert "checkout.session.completed" in receiver.types()
    assert receiver.refused == []


def test_fixtures_are_seeded_without_deliveries(
    shop: Shop, sandbox: RunningSandbox, receiver: Receiver
) -> None:
    answer = requests.post(f"{sandbox.url}/sandbox/seed", json=BOOK, timeout=5)
    sandbox.wait_idle()

    made = answer.json()
    price = shop.client.v1.prices.retrieve(made["price"]["id"])
    assert answer.status_code == 201
    assert (price.product, price.lookup_key, price.active) == ("book", "book", True)
    assert made["book"]["metadata"] == {"shelf": "3"}
    assert made["declined"]["error"]["code"] == "card_declined"
    assert receiver.types() == []
    assert len(sandbox.events("price.created")) == 1


@pytest.mark.parametrize(
    ("fixtures", "message"),
    [
        ({}, "list named"),
        ({"fixtures": ["x"]}, "fixture '0'"),
        ({"fixtures": [{"name": "a", "path": "/v1/nothing", "method": "post"}]}, "Unrecognized"),
        ({"fixtures": [{"name": "a", "path": "/sandbox", "method": "post"}]}, "below /v1/"),
        ({"fixtures": [{"name": "a", "path": "/v1/products", "method": "put"}]}, "a method"),
        (
            {"fixtures": [{"name": "a", "path": "/v1/products/${b:id}", "method": "post"}]},
            "nothing for",
        ),
        (
            {"fixtures": [{"name": "a", "path": "/v1/products", "method": "post"}]},
            "name",
        ),
    ],
)
def test_a_wrong_fixture_is_named_and_nothing_is_created(
    sandbox: RunningSandbox, fixtures: dict[str, Any], message: str
) -> None:
    first = {"name": "first", "path": "/v1/products", "params": {"name": "First"}}
    if "fixtures" in fixtures:
        fixtures = {"fixtures": [*fixtures["fixtures"], first]}

    answer = requests.post(f"{sandbox.url}/sandbox/seed", json=fixtures, timeout=5)

    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert sandbox.events("product.created") == []


def test_a_file_of_fixtures_is_loaded_at_the_start_and_after_a_reset(tmp_path: Path) -> None:
    file, state = tmp_path / "shop.json", tmp_path / "state.sqlite3"
    file.write_text(json.dumps(BOOK))

    with running(webhook=None, fixtures=file, state=state) as sandbox:
        assert sandbox.object("book")["name"] == "Book"
        sandbox.reset()
        assert sandbox.object("book")["name"] == "Book"
    with running(webhook=None, fixtures=file, state=state) as sandbox:
        assert len(sandbox.events("product.created")) == 1


def test_a_file_that_is_no_fixtures_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text("{")

    with process("--port", "0", "--fixtures", str(file)) as started:
        _, errors = rest_of(started)

    assert started.returncode == 1
    assert errors.startswith(f"sandbox: cannot read {file}")
    assert errors.count("\n") == 1
    with pytest.raises(FixtureError), running(webhook=None, fixtures=file):
        pass


def test_another_name_is_refused_unless_it_is_allowed(sandbox: RunningSandbox) -> None:
    port = sandbox.url.rpartition(":")[2]

    refused = requests.get(f"{sandbox.url}/sandbox", headers={"Host": f"stripe:{port}"}, timeout=5)

    assert refused.status_code == 403
    assert "--allow-host" in refused.json()["error"]["message"]


def test_an_allowed_name_is_answered_and_others_stay_refused() -> None:
    with running(webhook=None, allowed_hosts=frozenset({"stripe"})) as sandbox:

        def get(host: str, **headers: str) -> int:
            sent = {"Host": host, **headers}
            return requests.get(f"{sandbox.url}/sandbox", headers=sent, timeout=5).status_code

        assert get("stripe:12111") == 200
        assert get("STRIPE") == 200
        assert get("evil.example") == 403
        assert get("stripe.evil.example") == 403
        assert get("stripe", Origin="http://stripe:12111") == 200
        assert get("stripe", Origin="http://evil.example") == 403


def test_it_listens_on_other_addresses_only_with_an_allowed_name() -> None:
    with process("--port", "0", "--listen", "0.0.0.0") as started:  # noqa: S104 (what is tested)
        _, errors = rest_of(started)
    assert started.returncode == 2
    assert "needs --allow-host" in errors

    arguments = ("--port", "0", "--listen", "0.0.0.0", "--allow-host", "127.0.0.2")  # noqa: S104
    with process(*arguments) as started:
        port = ready_url(started).rpartition(":")[2]
        # In a process of its own: tests connect to 127.0.0.1 only.
        url = f"http://127.0.0.2:{port}/sandbox/health"
        fetch = f"import urllib.request; print(urllib.request.urlopen({url!r}).read().decode())"
        answer = subprocess.run(  # noqa: S603
            [sys.executable, "-c", fetch], capture_output=True, text=True, check=True, timeout=10
        )

    assert json.loads(answer.stdout)["status"] == "ok"


def test_urls_of_objects_can_have_another_base() -> None:
    with process("--port", "0", "--public-url", "http://localhost:8000/") as started:
        assert started.stdout is not None
        line = started.stdout.readline()

    assert "http://localhost:8000 " in line


def test_the_version_is_printed() -> None:
    with process("--version") as started:
        output, _ = rest_of(started)

    assert output.startswith("python -m sandbox 1.")
