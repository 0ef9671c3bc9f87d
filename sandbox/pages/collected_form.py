"""Reads and validates the fields that the session's options add to the payment form."""

from __future__ import annotations

import re

from sandbox.flows.collected import Collected
from sandbox.flows.order_changes import OrderChanges
from sandbox.json_types import JsonObject
from sandbox.pages.collected_fields import SHIPPING_FIELDS

_TAX_ID_TYPES = {
    "AU": "au_abn", "CA": "ca_bn", "CH": "ch_vat", "GB": "gb_vat", "NO": "no_vat", "NZ": "nz_gst",
    "US": "us_ein",
}  # fmt: skip
_EUROPEAN_UNION = frozenset(
    {
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE",
        "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
    }
)  # fmt: skip
_REQUIRED_PARTS = ("country", "line1")


def initial_options(session: JsonObject) -> dict[str, str]:
    """The values that the added fields show at first."""
    values = {
        f"custom-{each['key']}": each[each["type"]]["default_value"]
        for each in session["custom_fields"]
        if each[each["type"]]["default_value"]
    }
    if asked := session["shipping_address_collection"]:
        values["shippingCountry"] = asked["allowed_countries"][0]
    return values


def option_errors(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    """Errors of the added fields, in the order of the page."""
    return {
        **_phone_error(session, values),
        **_shipping_errors(session, values),
        **_name_errors(session, values),
        **_tax_id_error(session, values),
        **{f"custom-{each['key']}": _custom_error(each, values) for each in _custom(session)},
        **_terms_error(session, values),
    }


def collected_from(
    session: JsonObject, values: dict[str, str], billing: JsonObject | None
) -> Collected:
    """What the form collected beside the payment method."""
    tax_id = values.get("taxId")
    kind = _tax_id_type(values, billing)
    return Collected(
        phone=values.get("phoneNumber"),
        business_name=values.get("businessName"),
        individual_name=values.get("individualName"),
        tax_id=(kind or "unknown", tax_id) if tax_id else None,
        shipping=_shipping(session, values),
        custom_fields={
            each["key"]: values[f"custom-{each['key']}"]
            for each in session["custom_fields"]
            if f"custom-{each['key']}" in values
        },
        promotions="promotionsConsent" in values,
        terms_of_service="termsOfServiceConsentCheckbox" in values,
        save_method="savePaymentMethod" in values,
        presentment_currency=values.get("presentmentCurrency"),
    )


def changes_from(
    session: JsonObject, values: dict[str, str], billing: JsonObject | None
) -> OrderChanges:
    """The order's changes that the form asks for."""
    action, code = values.get("action"), None
    if action == "remove":
        code = ""
    elif action == "apply":
        code = values.get("promotionCode", "")
    chosen = None
    if "optionalItems" in values:
        offers = enumerate(session.get("optional_items") or [])
        chosen = {i: offer["quantity"] for i, offer in offers if f"optional-{i}" in values}
    shipping = _shipping(session, values)
    return OrderChanges(
        quantities={
            name.removeprefix("quantity-"): int(text)
            for name, text in values.items()
            if name.startswith("quantity-") and re.fullmatch(r"\d{1,6}", text, re.ASCII)
        },
        optional_items=chosen,
        shipping_rate=values.get("shippingOption"),
        promotion_code=code,
        location=(shipping or {}).get("address") or billing,
    )


def _custom(session: JsonObject) -> list[JsonObject]:
    fields: list[JsonObject] = session["custom_fields"]
    return fields


def _shipping(session: JsonObject, values: dict[str, str]) -> JsonObject | None:
    if session["shipping_address_collection"] is None or "shippingAddressLine1" not in values:
        return None
    address = {part: values[name] for part, name in SHIPPING_FIELDS.items() if name in values}
    return {"name": values.get("shippingName"), "address": address}


def _phone_error(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    if not session["phone_number_collection"]["enabled"]:
        return {}
    digits = re.sub(r"[\s()./-]", "", values.get("phoneNumber", ""))
    valid = re.fullmatch(r"\+?\d{6,15}", digits, re.ASCII)
    return {"phoneNumber": None if valid else "Your phone number is incomplete."}


def _shipping_errors(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    asked = session["shipping_address_collection"]
    if asked is None:
        return {}
    errors: dict[str, str | None] = {}
    if "shippingName" not in values:
        errors["shippingName"] = "Your name is required."
    for part in _REQUIRED_PARTS:
        if SHIPPING_FIELDS[part] not in values:
            errors[SHIPPING_FIELDS[part]] = "Your address is incomplete."
    if values.get("shippingCountry", "") not in ("", *asked["allowed_countries"]):
        errors["shippingCountry"] = "We do not ship to this country."
    return errors


def _name_errors(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    asked = (session.get("name_collection") or {}).items()
    required = [kind for kind, each in asked if each["enabled"] and not each["optional"]]
    return {
        f"{kind}Name": None if f"{kind}Name" in values else f"Your {kind} name is required."
        for kind in required
    }


def _tax_id_error(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    asked = session.get("tax_id_collection") or {}
    required = asked.get("enabled") and asked.get("required") == "if_supported"
    if not required or "taxId" in values or _tax_id_type(values, None) is None:
        return {}
    return {"taxId": "Your tax ID is required."}


def _tax_id_type(values: dict[str, str], billing: JsonObject | None) -> str | None:
    country = (billing or {}).get("country") or values.get("billingCountry", "").upper()
    return "eu_vat" if country in _EUROPEAN_UNION else _TAX_ID_TYPES.get(country)


def _custom_error(asked: JsonObject, values: dict[str, str]) -> str | None:
    text = values.get(f"custom-{asked['key']}")
    if text is None:
        return None if asked["optional"] else "This field is required."
    if asked["type"] == "dropdown":
        offered = [each["value"] for each in asked["dropdown"]["options"]]
        return None if text in offered else "Select one of the options."
    if asked["type"] == "numeric" and not re.fullmatch(r"\d+", text, re.ASCII):
        return "Only digits are allowed."
    bounds = asked[asked["type"]]
    if len(text) < (bounds["minimum_length"] or 0):
        return f"Enter at least {bounds['minimum_length']} characters."
    if len(text) > (bounds["maximum_length"] or len(text)):
        return f"Enter at most {bounds['maximum_length']} characters."
    return None


def _terms_error(session: JsonObject, values: dict[str, str]) -> dict[str, str | None]:
    required = (session["consent_collection"] or {}).get("terms_of_service") == "required"
    name = "termsOfServiceConsentCheckbox"
    if not required or name in values:
        return {}
    return {name: "Please accept the terms of service."}
