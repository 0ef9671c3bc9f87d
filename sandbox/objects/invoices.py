"""Builders of paid invoices and their lines."""

from __future__ import annotations

from typing import Any

from sandbox.identifiers import new_id
from sandbox.json_types import JsonObject

_UNSET: JsonObject = dict.fromkeys(
    (
        "account_tax_ids", "application", "automatically_finalizes_at", "customer_account",
        "customer_shipping", "default_payment_method", "default_source", "due_date", "from_invoice",
        "invoice_pdf", "last_finalization_error", "latest_revision", "next_payment_attempt",
        "on_behalf_of", "parent", "receipt_number", "shipping_details", "statement_descriptor",
        "test_clock", "webhooks_delivered_at",
    )
)  # fmt: skip


def invoice(
    session: JsonObject, *, lines: list[JsonObject], created: int, number: str, **fields: Any
) -> JsonObject:
    """A paid invoice of a completed Checkout Session."""
    details, totals = session["customer_details"], session["total_details"]
    total, tax = session["amount_total"], totals["amount_tax"]
    identifier = lines[0]["invoice"]
    return {
        "id": identifier,
        "object": "invoice",
        **_UNSET,
        "account_country": "US",
        "account_name": "payflow sandbox",
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": total,
        "amount_remaining": 0,
        "amount_shipping": totals["amount_shipping"],
        "attempt_count": 0,
        "attempted": True,
        "auto_advance": False,
        "automatic_tax": {**session["automatic_tax"], "disabled_reason": None},
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": created,
        "currency": session["currency"],
        "customer": session["customer"],
        "customer_address": details["address"],
        "customer_email": details["email"],
        "customer_name": details["name"],
        "customer_phone": details["phone"],
        "customer_tax_exempt": details["tax_exempt"],
        "customer_tax_ids": details["tax_ids"],
        "default_tax_rates": [],
        "effective_at": created,
        "ending_balance": 0,
        "lines": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "url": f"/v1/invoices/{identifier}/lines",
        },
        "livemode": False,
        "number": number,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": created,
        "period_start": created,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "shipping_cost": session["shipping_cost"],
        "starting_balance": 0,
        "status": "paid",
        "status_transitions": {
            "finalized_at": created,
            "marked_uncollectible_at": None,
            "paid_at": created,
            "voided_at": None,
        },
        "subtotal": session["amount_subtotal"],
        "subtotal_excluding_tax": session["amount_subtotal"],
        "total": total,
        "total_excluding_tax": total - tax,
        "total_pretax_credit_amounts": [],
        **fields,
    }


def invoice_line(
    item: JsonObject,
    invoice_id: str,
    *,
    created: int,
    discounts: list[str],
    taxes: list[JsonObject],
) -> JsonObject:
    """An invoice's line for a line item of a Checkout Session."""
    taken = [{"amount": item["amount_discount"], "discount": each} for each in discounts]
    return {
        "id": new_id("invoice_line"),
        "object": "line_item",
        "amount": item["amount_subtotal"],
        "currency": item["currency"],
        "description": item["description"],
        "discount_amounts": taken,
        "discountable": True,
        "discounts": discounts,
        "invoice": invoice_id,
        "livemode": False,
        "metadata": item["metadata"],
        "parent": None,
        "period": {"end": created, "start": created},
        "pretax_credit_amounts": [{**each, "type": "discount"} for each in taken],
        "pricing": {
            "price_details": {"price": item["price"]["id"], "product": item["price"]["product"]},
            "type": "price_details",
            "unit_amount_decimal": item["price"]["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": None,
        "subtotal": item["amount_subtotal"],
        "taxes": [invoice_tax(each) for each in taxes],
    }


def invoice_tax(tax: JsonObject) -> JsonObject:
    """A tax of a Checkout Session as invoices show it."""
    return {
        "amount": tax["amount"],
        "tax_behavior": "inclusive" if tax["rate"]["inclusive"] else "exclusive",
        "tax_rate_details": {"tax_rate": tax["rate"]["id"]},
        "taxability_reason": tax["taxability_reason"],
        "taxable_amount": tax["taxable_amount"],
        "type": "tax_rate_details",
    }
