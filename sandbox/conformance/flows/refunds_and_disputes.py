"""Flows of refunds, disputes and inquiries, with each ending."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.conformance.client import Client
from sandbox.conformance.flows.checkout import CARDS, create_session, pay, retrieve_all


def refunds(client: Client) -> None:
    """Full and partial refunds that succeed, are pending or fail later."""
    for number in (CARDS[0], "4000000000007726", "4000000000005126"):
        _refund(client, number)
        _refund_in_parts(client, number)
    client.get("/v1/refunds", limit=3, expand=["data.charge"])


def _refund(client: Client, number: str) -> None:
    session = create_session(client)
    intent = _paid_intent(client, session["id"], number)
    client.post("/v1/refunds", payment_intent=intent, reason="requested_by_customer")
    retrieve_all(client, session)
    client.settle()
    retrieve_all(client, session)


def _refund_in_parts(client: Client, number: str) -> None:
    session = create_session(client)
    intent = _paid_intent(client, session["id"], number)
    made = client.post("/v1/refunds", payment_intent=intent, amount=500, metadata={"r": "1"})
    client.post("/v1/refunds", payment_intent=intent, amount=700)
    client.post(f"/v1/refunds/{made['id']}", metadata={"r": "2"})
    client.settle()
    retrieve_all(client, session)


def disputes(client: Client) -> None:
    """Disputes of each card, decided by evidence, conceded, or closed on the control page."""
    for number, ending in (
        ("4000000000000259", "winning_evidence"),
        ("4000000000000259", "losing_evidence"),
        ("4000000000000259", "close"),
        ("4000000000002685", "win"),
        ("4000000000001976", "close"),
        ("4000000000001976", "winning_evidence"),
    ):
        session = create_session(client)
        _decide(client, _dispute(client, session["id"], number), ending)
        client.settle()
        retrieve_all(client, session)
    client.get("/v1/disputes")
    client.get("/v1/balance_transactions", limit=20)


def disputes_of_the_control_page(client: Client) -> None:
    """A dispute and an inquiry opened by the control page's buttons."""
    for button in ("dispute", "inquiry"):
        session = create_session(client)
        pay(client, session)
        client.settle()
        client.submit(f"/sandbox/sessions/{session['id']}/{button}")
        client.settle()
        retrieve_all(client, session)


def _decide(client: Client, dispute: str, ending: str) -> None:
    path = f"/v1/disputes/{dispute}"
    if ending == "close":
        client.post(f"{path}/close")
    elif ending == "win":
        client.submit(f"/sandbox/disputes/{dispute}/win")
    else:
        evidence = {"customer_name": "J", "product_description": "A thing"}
        client.post(path, evidence=evidence, submit=False, metadata={"d": "1"})
        client.post(path, evidence={"uncategorized_text": ending})
    client.get(path)


def _dispute(client: Client, session: str, number: str) -> str:
    intent = _paid_intent(client, session, number)
    (dispute,) = client.get("/v1/disputes", payment_intent=intent)["data"]
    return str(dispute["id"])


def _paid_intent(client: Client, session: str, number: str) -> str:
    pay(client, {"id": session}, number)
    client.settle()
    return str(client.get(f"/v1/checkout/sessions/{session}")["payment_intent"])


FLOWS: list[Callable[[Client], None]] = [refunds, disputes, disputes_of_the_control_page]
