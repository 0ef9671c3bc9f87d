"""HTML of what the customer can change about an order: quantities, extras, shipping, codes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sandbox.account import Account
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.pages.form_fields import Form
from sandbox.pages.markup import Markup, join, tag
from sandbox.store import Query


@dataclass(frozen=True)
class Order:
    """What a payment page shows beside the session."""

    items: list[JsonObject]
    optional_items: list[JsonObject] = field(default_factory=list)
    """Name, amount and whether it is chosen, in the session's order."""
    shipping_rates: list[JsonObject] = field(default_factory=list)
    shipping_rate: str | None = None
    saved_methods: list[JsonObject] = field(default_factory=list)


def order_of(account: Account, session: JsonObject) -> Order:
    """What the page of a session shows."""
    private = account.store.get_private(session["id"])
    chosen = private.get("optional_items", {})
    rates = [option["shipping_rate"] for option in session["shipping_options"]]
    return Order(
        private["line_items"],
        [
            _offer(account, offer, chosen=str(index) in chosen)
            for index, offer in enumerate(session.get("optional_items") or [])
        ],
        [account.store.get("shipping_rate", rate) for rate in rates],
        private.get("shipping_rate"),
        _saved_cards(account, session),
    )


def _offer(account: Account, offer: JsonObject, *, chosen: bool) -> JsonObject:
    price = account.store.get("price", offer["price"])
    name = account.store.get("product", price["product"])["name"]
    return {"name": name, "amount": price["unit_amount"] * offer["quantity"], "chosen": chosen}


def _saved_cards(account: Account, session: JsonObject) -> list[JsonObject]:
    """The customer's saved cards that may be shown again."""
    if session["customer"] is None:
        return []
    shown = (session["saved_payment_method_options"] or {})["allow_redisplay_filters"]
    query = Query("payment_method")
    query.where_equal("customer", session["customer"])
    query.where_equal("type", "card")
    query.where_in("allow_redisplay", shown)
    return account.store.select(query)


def summary(session: JsonObject, order: Order, form: Form) -> Markup:
    """The order's lines and its total."""
    currency = session["currency"]
    lines = [
        _line(
            f"{item['description']} \N{MULTIPLICATION SIGN} {item['quantity']}",
            amount_text(item["amount_subtotal"], currency),
        )
        for item in order.items
    ]
    totals = session["total_details"]
    if totals["amount_discount"]:
        saved = amount_text(totals["amount_discount"], currency)
        lines.append(_line(form.say("Discount"), f"\N{MINUS SIGN}{saved}"))
    if session["shipping_cost"]:
        lines.append(_line(form.say("Shipping"), amount_text(totals["amount_shipping"], currency)))
    if session["automatic_tax"]["enabled"]:
        lines.append(_line(form.say("Tax"), _tax_text(session)))
    total = amount_text(session["amount_total"], currency)
    return tag(
        "section",
        tag("p", total, class_="total", id="total"),
        tag("ul", *lines, class_="items"),
        class_="card",
        aria_label="Your order",
    )


def order_fields(session: JsonObject, order: Order, form: Form) -> Markup | None:
    """The fields that change the order; None if nothing can be changed."""
    currency = session["currency"]
    fields = [
        *[_quantity(item, form) for item in order.items if item["adjustable_quantity"]],
        *_optional_items(order, form, currency),
        _shipping(order, form, currency) if order.shipping_rates else None,
        _promotion_code(session, form) if session["allow_promotion_codes"] else None,
    ]
    depends_on_address = (
        session["automatic_tax"]["enabled"] or session["adaptive_pricing"]["enabled"]
    )
    if depends_on_address or any(fields):
        return join(
            *fields,
            tag(
                "button",
                form.say("Update the order"),
                name="action",
                value="update",
                class_="plain",
            ),
            tag("input", type="hidden", name="expectedAmount", value=str(session["amount_total"])),
        )
    return None


def _line(text: str, amount: str) -> Markup:
    return tag("li", tag("span", text), tag("span", amount))


def _tax_text(session: JsonObject) -> str:
    if session["automatic_tax"]["status"] != "complete":
        return "Enter an address to calculate"
    return amount_text(session["total_details"]["amount_tax"], session["currency"])


def _quantity(item: JsonObject, form: Form) -> Markup:
    bounds = item["adjustable_quantity"]
    name = f"quantity-{item['id']}"
    values = {name: form.values.get(name, str(item["quantity"]))}
    shown = replace(form, values=values)
    return shown.text_field(
        name,
        f"Quantity of {item['description']}",
        type="number",
        min=str(bounds["minimum"]),
        max=str(bounds["maximum"]),
    )


def _optional_items(order: Order, form: Form, currency: str) -> list[Markup]:
    if not order.optional_items:
        return []
    boxes = []
    for index, offer in enumerate(order.optional_items):
        name = f"optional-{index}"
        shown = replace(form, values={name: "on"} if offer["chosen"] else {})
        price = amount_text(offer["amount"], currency)
        boxes.append(shown.checkbox(name, f"Add {offer['name']} for {price}"))
    marker = tag("input", type="hidden", name="optionalItems", value="shown")
    return [tag("fieldset", tag("legend", "You may also like"), *boxes, marker)]


def _shipping(order: Order, form: Form, currency: str) -> Markup:
    options = [
        (
            rate["id"],
            f"{rate['display_name']} ({amount_text(rate['fixed_amount']['amount'], currency)})",
        )
        for rate in order.shipping_rates
    ]
    return form.radio_group("shippingOption", "Shipping method", options, order.shipping_rate)


def _promotion_code(session: JsonObject, form: Form) -> Markup:
    if session["discounts"]:
        return tag(
            "p",
            "A discount is applied. ",
            tag("button", "Remove it", name="action", value="remove", class_="plain"),
        )
    return join(
        form.text_field("promotionCode", "Promotion code", autocomplete="off"),
        tag("button", form.say("Apply the code"), name="action", value="apply", class_="plain"),
    )
