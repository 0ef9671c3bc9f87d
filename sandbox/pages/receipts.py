"""HTML of hosted invoices and receipts."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.pages.layout import render
from sandbox.pages.markup import Markup, tag


def invoice_page(invoice: JsonObject, receipt_url: str | None) -> web.Response:
    """The hosted page of a paid invoice."""
    currency = invoice["currency"]
    fields = [(field["name"], field["value"]) for field in invoice["custom_fields"] or []]
    lines = [
        (f"{line['description']} \N{MULTIPLICATION SIGN} {line['quantity']}", line["amount"])
        for line in invoice["lines"]["data"]
    ]
    discount = sum(each["amount"] for each in invoice["total_discount_amounts"])
    tax = sum(each["amount"] for each in invoice["total_taxes"])
    extras = [("Discount", -discount), ("Shipping", invoice["amount_shipping"]), ("Tax", tax)]
    return render(
        f"Invoice {invoice['number']}",
        tag("h1", f"Invoice {invoice['number']}"),
        _facts(
            [
                ("Status", "Paid"),
                ("Date", _date(invoice["created"])),
                ("Billed to", invoice["customer_name"] or ""),
                ("Email", invoice["customer_email"] or ""),
                *fields,
            ]
        ),
        _amounts(
            [*lines, *[(name, amount) for name, amount in extras if amount]],
            invoice["total"],
            currency,
        ),
        _paragraph(invoice["description"]),
        _paragraph(invoice["footer"]),
        tag("p", tag("a", "Receipt", href=receipt_url)) if receipt_url else None,
    )


def receipt_page(charge: JsonObject, lines: list[JsonObject]) -> web.Response:
    """The receipt of a paid charge."""
    method = charge["payment_method_details"]
    paid_with = method["type"].replace("_", " ")
    if card := method.get("card"):
        paid_with = f"{card['brand'].title()} ending in {card['last4']}"
    currency = charge["currency"]
    rows = [
        (f"{line['description']} \N{MULTIPLICATION SIGN} {line['quantity']}", line["amount_total"])
        for line in lines
    ]
    if charge["amount_refunded"]:
        rows.append(("Refunded", -charge["amount_refunded"]))
    return render(
        "Receipt",
        tag("h1", "Receipt"),
        _facts(
            [
                ("Charge", charge["id"]),
                ("Date", _date(charge["created"])),
                ("Paid with", paid_with),
                ("Email", charge["receipt_email"] or charge["billing_details"]["email"] or ""),
            ]
        ),
        _amounts(rows, charge["amount_captured"], currency),
        tag("p", "No money moved.", class_="quiet"),
    )


def _facts(facts: list[tuple[str, str]]) -> Markup:
    rows = [tag("li", tag("span", name), tag("span", text)) for name, text in facts if text]
    return tag("section", tag("ul", *rows, class_="items"), class_="card", aria_label="Details")


def _amounts(rows: list[tuple[str, int]], total: int, currency: str) -> Markup:
    lines = [tag("li", tag("span", text), tag("span", _signed(n, currency))) for text, n in rows]
    return tag(
        "section",
        tag("p", amount_text(total, currency), class_="total", id="total"),
        tag("ul", *lines, class_="items") if lines else None,
        class_="card",
        aria_label="Amounts",
    )


def _signed(amount: int, currency: str) -> str:
    text = amount_text(abs(amount), currency)
    return f"\N{MINUS SIGN}{text}" if amount < 0 else text


def _paragraph(text: str | None) -> Markup | None:
    return tag("p", text) if text else None


def _date(timestamp: int) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%d %B %Y}"
