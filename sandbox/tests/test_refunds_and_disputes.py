"""Refunds and disputes, with the events of each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from sandbox.json_types import JsonObject
from sandbox.testing import RunningSandbox
from sandbox.tests.shop import Shop

pytestmark = pytest.mark.http


def refund_events(sandbox: RunningSandbox) -> list[str]:
    sandbox.wait_idle()
    return [event["type"] for event in sandbox.events() if "refund" in event["type"]]


def last(sandbox: RunningSandbox, kind: str) -> JsonObject:
    found: JsonObject = sandbox.events(kind)[-1]["data"]["object"]
    return found


def test_refunds_add_up_and_only_the_last_makes_it_full(shop: Shop) -> None:
    intent = shop.paid()["payment_intent"]

    shop.client.v1.refunds.create({"payment_intent": intent, "amount": 200})
    partly = last(shop.sandbox, "charge.refunded")
    shop.client.v1.refunds.create({"payment_intent": intent})
    fully = last(shop.sandbox, "charge.refunded")

    assert (partly["amount_refunded"], partly["refunded"]) == (200, False)
    assert (fully["amount_refunded"], fully["refunded"]) == (500, True)


def test_a_refund_is_told_four_times(shop: Shop) -> None:
    intent = shop.paid()["payment_intent"]

    shop.client.v1.refunds.create({"payment_intent": intent})

    assert refund_events(shop.sandbox) == [
        "refund.created",
        "charge.refunded",
        "refund.updated",
        "charge.refund.updated",
    ]


def test_a_slow_refund_is_pending_and_succeeds_later(shop: Shop) -> None:
    intent = shop.paid("4000000000007726")["payment_intent"]

    refund = shop.client.v1.refunds.create({"payment_intent": intent})

    assert refund.status == "pending"
    shop.sandbox.wait_idle()
    updated = shop.sandbox.events("refund.updated")[-1]
    assert updated["data"]["object"]["status"] == "succeeded"
    assert updated["data"]["previous_attributes"]["status"] == "pending"


def test_a_failed_refund_gives_the_charge_its_money_back(shop: Shop) -> None:
    intent = shop.paid("4000000000005126")["payment_intent"]

    refund = shop.client.v1.refunds.create({"payment_intent": intent})

    assert refund.status == "succeeded"
    assert refund_events(shop.sandbox)[-3:] == [
        "refund.failed",
        "refund.updated",
        "charge.refund.updated",
    ]
    charge = shop.sandbox.object(str(refund.charge))
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)


def dispute_events(sandbox: RunningSandbox) -> list[str]:
    sandbox.wait_idle()
    return [
        event["type"].removeprefix("charge.dispute.")
        for event in sandbox.events()
        if event["type"].startswith("charge.dispute.")
    ]


@pytest.mark.parametrize(
    ("evidence", "status", "ending"),
    [
        ("winning_evidence", "won", ["funds_reinstated", "closed"]),
        ("losing_evidence", "lost", ["closed"]),
    ],
)
def test_evidence_decides_a_dispute(
    shop: Shop, evidence: str, status: str, ending: list[str]
) -> None:
    intent = shop.paid("4000000000000259")["payment_intent"]
    disputes = shop.client.v1.disputes
    dispute = disputes.list({"payment_intent": intent}).data[0]

    answered = disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": evidence}, "submit": True}
    )

    assert (dispute.status, answered.status) == ("needs_response", "under_review")
    assert dispute_events(shop.sandbox) == ["created", "funds_withdrawn", "updated", *ending]
    assert disputes.retrieve(dispute.id).status == status


def test_an_inquiry_moves_no_money_and_ends_as_one(shop: Shop) -> None:
    intent = shop.paid("4000000000001976")["payment_intent"]
    dispute = shop.client.v1.disputes.list({"payment_intent": intent}).data[0]

    closed = shop.client.v1.disputes.close(dispute.id)

    assert (dispute.status, closed.status) == ("warning_needs_response", "warning_closed")
    assert dispute_events(shop.sandbox) == ["created", "closed"]
    assert closed.metadata.to_dict() == {}


def test_a_bank_debit_can_be_disputed_too(shop: Shop) -> None:
    session = shop.session(currency="eur")
    shop.sandbox.pay_by_debit(session.id)
    shop.sandbox.wait_idle()
    charge = shop.sandbox.events("charge.succeeded")[0]["data"]["object"]["id"]

    dispute = shop.sandbox.dispute(charge)

    assert dispute["payment_method_details"] is None
    assert dispute_events(shop.sandbox) == ["created", "funds_withdrawn"]


def test_a_disputed_charge_cannot_be_refunded(shop: Shop) -> None:
    intent = shop.paid("4000000000000259")["payment_intent"]

    with pytest.raises(Exception, match="has been charged back"):
        shop.client.v1.refunds.create({"payment_intent": intent})


def test_refunds_at_the_same_time_never_give_back_more_than_was_paid(shop: Shop) -> None:
    intent = shop.paid()["payment_intent"]

    def refund(number: int) -> bool:
        try:
            shop.client.v1.refunds.create({"payment_intent": intent, "amount": 100})
        except stripe.InvalidRequestError:
            return False
        return True

    with ThreadPoolExecutor(12) as staff:
        given = list(staff.map(refund, range(12)))

    assert given.count(True) == 5
    assert last(shop.sandbox, "charge.refunded")["amount_refunded"] == 500
