"""What the customer enters on the payment page beside the payment method, and where it goes.

Stripe docs: https://docs.stripe.com/payments/checkout/customization and
https://docs.stripe.com/payments/checkout/custom-fields
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from sandbox.account import Account
from sandbox.json_types import JsonObject
from sandbox.objects.customers import address
from sandbox.webhooks.events import emit


@dataclass(frozen=True)
class Collected:
    """Data of the payment page; what the session does not ask for stays empty."""

    phone: str | None = None
    business_name: str | None = None
    individual_name: str | None = None
    tax_id: tuple[str, str] | None = None
    """Type and value, such as `eu_vat` and `ATU12345678`."""
    shipping: JsonObject | None = None
    """Name and address of the recipient."""
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    promotions: bool = False
    terms_of_service: bool = False
    save_method: bool = False
    presentment_currency: str | None = None


def record(account: Account, session: JsonObject, collected: Collected) -> None:
    """Set the session's custom fields, consent and collected information."""
    for each in session["custom_fields"]:
        each[each["type"]]["value"] = collected.custom_fields.get(each["key"])
    if asked := session["consent_collection"]:
        session["consent"] = {
            "promotions": _promotions(collected) if asked["promotions"] == "auto" else None,
            "terms_of_service": "accepted" if collected.terms_of_service else None,
        }
    shipping = collected.shipping and {
        "address": address(collected.shipping.get("address")),
        "name": collected.shipping.get("name") or "",
    }
    session["collected_information"] = {
        "business_name": collected.business_name,
        "individual_name": collected.individual_name,
        "shipping_details": shipping,
    }
    private = account.store.get_private(session["id"])
    account.store.set_private(session["id"], {**private, "collected": asdict(collected)})


def add_to_details(session: JsonObject, private: JsonObject, details: JsonObject) -> JsonObject:
    """`customer_details` with what the page collected."""
    collected = private.get("collected") or {}
    tax_id = collected.get("tax_id")
    return {
        **details,
        "business_name": collected.get("business_name"),
        "individual_name": collected.get("individual_name"),
        "name": details["name"]
        or collected.get("individual_name")
        or collected.get("business_name"),
        "phone": collected.get("phone") or details["phone"],
        "tax_exempt": (session["customer_details"] or {}).get("tax_exempt") or "none",
        "tax_ids": [{"type": tax_id[0], "value": tax_id[1]}] if tax_id else [],
    }


def payment_shipping(session: JsonObject, collected: JsonObject) -> JsonObject | None:
    """The collected shipping details as payments show them."""
    shipping = (session["collected_information"] or {}).get("shipping_details")
    if shipping is None:
        return None
    return {**shipping, "carrier": None, "phone": collected.get("phone"), "tracking_number": None}


def update_customer(account: Account, session: JsonObject, private: JsonObject) -> None:
    """Save the collected data to the session's customer, as `customer_update` says."""
    customer = account.store.find(session["customer"] or "")
    updates, details = private.get("customer_update") or {}, session["customer_details"]
    if customer is None:
        return
    changed: JsonObject = {}
    for name in ("address", "name"):
        if updates.get(name) == "auto" and details[name]:
            changed[name] = details[name]
    shipping = payment_shipping(session, private.get("collected") or {})
    if updates.get("shipping") == "auto" and shipping:
        changed["shipping"] = {name: shipping[name] for name in ("address", "name", "phone")}
    previous = {name: customer[name] for name, value in changed.items() if customer[name] != value}
    if previous:
        emit(account, "customer.updated", account.store.save(customer | changed), previous)


def _promotions(collected: Collected) -> str:
    return "opt_in" if collected.promotions else "opt_out"
