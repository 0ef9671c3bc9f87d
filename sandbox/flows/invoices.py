"""Creates the paid invoice of a Checkout Session that asks for one (`invoice_creation`).

Stripe docs: https://docs.stripe.com/payments/checkout/receipts#paid-invoices
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject
from sandbox.objects.invoices import invoice, invoice_line, invoice_tax
from sandbox.webhooks.events import emit

_EVENTS = ("created", "finalized", "paid", "payment_succeeded")


def create_invoice(account: Account, session: JsonObject) -> JsonObject:
    """Create the invoice of a completed session and emit its events."""
    now, private = account.clock.timestamp(), account.store.get_private(session["id"])
    data = session["invoice_creation"]["invoice_data"]
    customer = account.store.get("customer", session["customer"])
    identifier = new_id("invoice")
    discounts = [each["discount"]["id"] for each in private.get("discounts", [])]
    made = invoice(
        session,
        lines=[_line(account, item, identifier, now) for item in private["line_items"]],
        created=now,
        number=f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}",
        custom_fields=data["custom_fields"],
        description=data["description"],
        discounts=discounts,
        footer=data["footer"],
        hosted_invoice_url=f"{account.base_url}/c/invoice/{identifier}",
        issuer=data["issuer"] or {"type": "self"},
        metadata=data["metadata"],
        rendering=_rendering(data["rendering_options"]),
        total_discount_amounts=[
            {"amount": each["amount"], "discount": each["discount"]["id"]}
            for each in private.get("discounts", [])
        ],
        total_taxes=[invoice_tax(each) for each in private.get("taxes", [])],
    )
    customer["next_invoice_sequence"] += 1
    account.store.save(customer)
    account.store.add(made, private={"payment_intent": session["payment_intent"]})
    for kind in _EVENTS:
        emit(account, f"invoice.{kind}", made)
    return made


def _line(account: Account, item: JsonObject, identifier: str, now: int) -> JsonObject:
    amounts = account.store.get_private(item["id"])
    return invoice_line(
        item,
        identifier,
        created=now,
        discounts=[each["discount"]["id"] for each in amounts.get("discounts", [])],
        taxes=amounts.get("taxes", []),
    )


def _rendering(options: JsonObject | None) -> JsonObject | None:
    if options is None:
        return None
    return {**options, "pdf": {"page_size": "auto"}, "template_version": None}
