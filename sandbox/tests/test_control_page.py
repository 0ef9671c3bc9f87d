"""The control page: lists and actions."""

from __future__ import annotations

import pytest
import requests

from sandbox.money import parse_amount
from sandbox.tests.receiver import Receiver
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http


def press(shop: Shop, path: str, **fields: str) -> requests.Response:
    """Press a button, and see the page that follows."""
    return requests.post(f"{shop.sandbox.url}/sandbox{path}", data=fields, timeout=5)


def test_it_lists_payments_and_events_with_their_deliveries(shop: Shop) -> None:
    paid = shop.paid()

    page = requests.get(shop.sandbox.url, timeout=5).text
    event = shop.sandbox.events("checkout.session.completed")[0]["id"]
    details = requests.get(f"{shop.sandbox.url}/sandbox/events/{event}", timeout=5).text

    assert paid["id"][-6:] in page
    assert "complete, paid" in page
    assert "checkout.session.completed" in page
    assert "what the application says" in details
    assert paid["id"] in details


def test_refund_and_dispute_buttons(shop: Shop) -> None:
    refunded, disputed = shop.paid(), shop.paid()

    assert "is succeeded" in press(shop, f"/sessions/{refunded['id']}/refund", amount="2.00").text
    assert "is open" in press(shop, f"/sessions/{disputed['id']}/dispute").text
    dispute = shop.sandbox.events("charge.dispute.created")[0]["data"]["object"]["id"]
    assert "closed: won" in press(shop, f"/disputes/{dispute}/win").text

    assert shop.sandbox.events("charge.refunded")[0]["data"]["object"]["amount_refunded"] == 200
    assert len(shop.sandbox.events("charge.dispute.funds_reinstated")) == 1


@pytest.mark.parametrize(
    ("written", "refunded"),
    [("2", 200), ("$1.5", 150), ("1,25", 125), ("3.00 USD", 300), ("", 500)],
)
def test_a_refund_takes_an_amount_as_people_write_it(
    shop: Shop, written: str, refunded: int
) -> None:
    paid = shop.paid()

    press(shop, f"/sessions/{paid['id']}/refund", amount=written)

    charge = shop.sandbox.events("charge.refunded")[0]["data"]["object"]
    assert charge["amount_refunded"] == refunded


@pytest.mark.parametrize("written", ["1.234.5", "abc", "-1", "1e3", "5.", "٣"])
def test_what_is_no_amount_is_not_refunded(shop: Shop, written: str) -> None:
    paid = shop.paid()

    refused = press(shop, f"/sessions/{paid['id']}/refund", amount=written)

    assert refused.status_code == 400
    assert "is not an amount in USD" in refused.text
    assert shop.sandbox.events("refund.created") == []


@pytest.mark.parametrize(
    ("written", "currency", "amount"),
    [
        ("1,234.50", "usd", 123450),
        ("1.234,50", "eur", 123450),
        ("€ 1 234,50", "eur", 123450),
        ("1,234", "usd", 123400),
        ("500", "jpy", 500),
        ("¥1,500", "jpy", 1500),
        ("500.00", "jpy", None),
        ("12.345.6", "usd", None),
    ],
)
def test_amounts_are_read_in_the_currencies_own_decimals(
    written: str, currency: str, amount: int | None
) -> None:
    assert parse_amount(written, currency) == amount


def test_payments_name_their_customer(shop: Shop) -> None:
    known = shop.client.v1.customers.create({"name": "Jenny Rosen"})
    shop.session(customer=known.id)
    shop.session(customer_email="only@example.com")
    shop.paid()

    page = shop.page("/sandbox")

    for name in ("Jenny Rosen", "only@example.com", "Test Customer"):
        assert name in page


def test_an_inquiry_can_be_lost_to_nobody(shop: Shop) -> None:
    paid = shop.paid()
    press(shop, f"/sessions/{paid['id']}/inquiry")
    dispute = shop.sandbox.events("charge.dispute.created")[0]["data"]["object"]["id"]

    assert "closed: warning closed" in press(shop, f"/disputes/{dispute}/lose").text


def test_expire_and_clock_buttons(shop: Shop) -> None:
    first, second = shop.session(), shop.session()

    press(shop, f"/sessions/{first.id}/expire")
    page = press(shop, "/clock", seconds="90000").text

    shop.sandbox.wait_idle()
    assert "moved forward by 90,000 seconds" in page
    assert {shop.sandbox.object(each.id)["status"] for each in (first, second)} == {"expired"}


def test_resend_and_deliver_twice_buttons(shop: Shop, receiver: Receiver) -> None:
    shop.paid()
    event = shop.sandbox.events("charge.succeeded")[0]["id"]

    press(shop, f"/events/{event}/resend")
    press(shop, f"/events/{event}/twice")

    receiver.wait_for("charge.succeeded", count=4)
    assert receiver.types().count("charge.succeeded") == 4


def test_switches_are_set_and_shown(shop: Shop, receiver: Receiver) -> None:
    page = press(shop, "/switches", match="charge.*", duplicate="true").text
    shop.paid()

    assert 'value="charge.*"' in page
    assert receiver.types().count("charge.succeeded") == 2
    assert "All is well again" in press(shop, "/switches").text


def test_a_rolled_secret_is_shown_once(shop: Shop) -> None:
    endpoint = shop.client.v1.webhook_endpoints.list().data[0].id

    page = press(shop, f"/endpoints/{endpoint}/roll").text

    assert "whsec_" in page
    assert "whsec_" not in requests.get(f"{shop.sandbox.url}/sandbox", timeout=5).text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/clock", {"seconds": "-5"}),
        ("/clock", {"seconds": "nan"}),
        ("/clock", {"seconds": "soon"}),
        ("/switches", {"api_error": "200"}),
        ("/switches", {"delay": "1e99"}),
        ("/sessions/cs_none/refund", {}),
        ("/disputes/du_none/win", {}),
        ("/events/evt_none/resend", {}),
        ("/endpoints/we_none/roll", {}),
    ],
)
def test_what_is_not_possible_is_said(shop: Shop, path: str, fields: dict[str, str]) -> None:
    response = press(shop, path, **fields)

    assert response.status_code in {400, 404}
    assert "Not possible" in response.text


def test_the_clock_stays_within_reason(shop: Shop) -> None:
    answers = [press(shop, "/clock", seconds=str(366 * 86400)).status_code for _ in range(12)]

    assert answers == [200] * 10 + [400] * 2


def test_an_unpaid_session_cannot_be_refunded_or_disputed(shop: Shop) -> None:
    session = shop.session()

    for verb in ("refund", "dispute"):
        assert "Not possible" in press(shop, f"/sessions/{session.id}/{verb}").text
    assert shop.sandbox.events("refund.created") == []


def test_scripts_get_the_deliveries_as_json(shop: Shop) -> None:
    shop.paid()
    event = shop.sandbox.events("charge.succeeded")[0]["id"]

    found = requests.get(
        f"{shop.sandbox.url}/sandbox/deliveries", params={"event": event}, timeout=5
    ).json()

    assert [each["status"] for each in found["deliveries"]] == [200]
