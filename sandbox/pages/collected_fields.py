"""HTML of what a session asks the customer for: phone, shipping, names, custom fields, consent."""

from __future__ import annotations

from sandbox.json_types import JsonObject
from sandbox.pages.form_fields import Form
from sandbox.pages.markup import Markup, join, tag

SHIPPING_FIELDS = {
    "country": "shippingCountry",
    "line1": "shippingAddressLine1",
    "line2": "shippingAddressLine2",
    "city": "shippingLocality",
    "state": "shippingAdministrativeArea",
    "postal_code": "shippingPostalCode",
}
"""Form field of each part of a shipping address."""


def collected_fields(session: JsonObject, form: Form) -> Markup:
    """The fields for all that the session collects beside the payment method."""
    names = session.get("name_collection") or {}
    return join(
        _phone(session, form),
        _shipping_address(session, form),
        *[_name(kind, asked, form) for kind, asked in names.items() if asked["enabled"]],
        _tax_id(session, form),
        *[_custom_field(each, form) for each in session["custom_fields"]],
    )


def consent_fields(session: JsonObject, form: Form) -> Markup:
    """The checkboxes above the button that pays, and the shop's own text."""
    asked = session["consent_collection"] or {}
    terms = _text(session, "terms_of_service_acceptance", "I agree to the terms of service.")
    return join(
        form.checkbox("promotionsConsent", "Send me news and offers")
        if asked.get("promotions") == "auto"
        else None,
        form.checkbox("termsOfServiceConsentCheckbox", terms)
        if asked.get("terms_of_service") == "required"
        else None,
        _shops_text(session, "submit"),
    )


def after_submit_text(session: JsonObject) -> Markup | None:
    """The shop's text below the button."""
    return _shops_text(session, "after_submit")


def _phone(session: JsonObject, form: Form) -> Markup | None:
    if not session["phone_number_collection"]["enabled"]:
        return None
    return form.text_field(
        "phoneNumber", "Phone number", type="tel", autocomplete="tel", required=True
    )


def _shipping_address(session: JsonObject, form: Form) -> Markup | None:
    asked = session["shipping_address_collection"]
    if asked is None:
        return None
    countries = [(code, code) for code in asked["allowed_countries"]]
    return tag(
        "fieldset",
        tag("legend", form.say("Shipping address")),
        _shops_text(session, "shipping_address"),
        form.text_field("shippingName", "Full name", autocomplete="shipping name", required=True),
        form.select_field("shippingCountry", "Country", countries, required=True),
        form.text_field(
            "shippingAddressLine1", "Address", autocomplete="shipping address-line1", required=True
        ),
        form.text_field(
            "shippingAddressLine2", "Address, second line", autocomplete="shipping address-line2"
        ),
        form.text_field("shippingLocality", "City", autocomplete="shipping address-level2"),
        form.text_field(
            "shippingAdministrativeArea", "State", autocomplete="shipping address-level1"
        ),
        form.text_field("shippingPostalCode", "Postal code", autocomplete="shipping postal-code"),
    )


def _name(kind: str, asked: JsonObject, form: Form) -> Markup:
    label = "Business name" if kind == "business" else "Full name"
    if asked["optional"]:
        label += " (optional)"
    return form.text_field(f"{kind}Name", label, required=not asked["optional"])


def _tax_id(session: JsonObject, form: Form) -> Markup | None:
    asked = session.get("tax_id_collection") or {}
    if not asked.get("enabled"):
        return None
    business = None
    if not (session.get("name_collection") or {}).get("business", {}).get("enabled"):
        business = form.text_field("businessName", "Business name (optional)")
    return join(
        business,
        form.text_field("taxId", "Tax ID", hint="Such as ATU12345678", autocomplete="off"),
    )


def _custom_field(asked: JsonObject, form: Form) -> Markup:
    name, label = f"custom-{asked['key']}", asked["label"]["custom"]
    if asked["optional"]:
        label += " (optional)"
    if asked["type"] == "dropdown":
        options = [(each["value"], each["label"]) for each in asked["dropdown"]["options"]]
        return form.select_field(name, label, [("", "Select…"), *options])
    numeric = asked["type"] == "numeric"
    return form.text_field(
        name,
        label,
        inputmode="numeric" if numeric else None,
        maxlength=_length(asked, "maximum_length"),
        required=not asked["optional"],
    )


def _length(asked: JsonObject, bound: str) -> str | None:
    length = asked[asked["type"]][bound]
    return None if length is None else str(length)


def _text(session: JsonObject, name: str, default: str) -> str:
    given = session["custom_text"][name]
    return str(given["message"]) if given else default


def _shops_text(session: JsonObject, name: str) -> Markup | None:
    text = _text(session, name, "")
    return tag("p", text, class_="quiet") if text else None
