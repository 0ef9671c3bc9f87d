"""Options of a new Checkout Session: what its page offers, asks for and shows.

Stripe docs: https://docs.stripe.com/payments/checkout/customization
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.account import Account
from sandbox.errors import exclusive, invalid, not_supported, parameter_missing
from sandbox.json_types import JsonObject
from sandbox.params import Params

_MAX_CUSTOM_FIELDS = 3
_MAX_DROPDOWN_OPTIONS = 200
_MAX_LABEL = 50
_MAX_MESSAGE = 1200
_MAX_OPTIONAL_ITEMS = 10
_MAX_QUANTITY = 999999
_TEXTS = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
_BRANDING: JsonObject = {
    "background_color": "#ffffff",
    "border_style": "rounded",
    "button_color": "#0074d4",
    "display_name": "payflow sandbox",
    "font_family": "default",
    "icon": None,
    "logo": None,
}


def page_options(params: Params) -> JsonObject:
    """The session's fields for its page that were sent; the others keep their defaults."""
    if params.boolean("allow_promotion_codes") and params.has("discounts"):
        raise exclusive("allow_promotion_codes", "discounts")
    options = {name: read(params) for name, read in _OPTIONS.items() if params.has(name)}
    options["saved_payment_method_options"] = _saved_methods(params)
    return {**options, **params.each_text(_TEXT_OPTIONS)}


def customer_updates(params: Params) -> JsonObject:
    """Which of the customer's data the page saves: `customer_update`."""
    names = ("address", "name", "shipping")
    asked = params.child("customer_update")
    updates = {name: asked.text(name) or "never" for name in names}
    if params.has("customer_update") and not params.text("customer"):
        raise invalid(
            "`customer_update` can only be used when `customer` is set.", param="customer_update"
        )
    return updates


def check_customer_data(session: JsonObject, customer: JsonObject, updates: JsonObject) -> None:
    """Raise Stripe's error if taxes need data that an existing customer lacks and keeps lacking."""
    saved = "auto" in (updates["address"], updates["shipping"])
    located = customer["address"] or customer["shipping"]
    if session["automatic_tax"]["enabled"] and not saved and not located:
        raise invalid(
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a "
            "valid address to the Customer or set either `customer_update[address]` to 'auto' or "
            "`customer_update[shipping]` to 'auto' to save the address entered in Checkout to the "
            "Customer.",
            code="customer_tax_location_invalid",
        )
    if session.get("tax_id_collection", {}).get("enabled") and updates["name"] != "auto":
        raise invalid(
            "Tax ID collection requires updating business name on the customer. To enable tax ID "
            "collection for an existing customer, please set `customer_update[name]` to `auto`.",
            param="customer_update",
        )


def adjustable_quantity(params: Params, quantity: int) -> JsonObject | None:
    """Within which bounds the customer may change a quantity; None if not at all."""
    if not params.is_object("adjustable_quantity"):
        return None
    asked = params.child("adjustable_quantity")
    enabled = asked.boolean("enabled")
    least, most = asked.integer("minimum"), asked.integer("maximum")
    if not enabled:
        return None
    least, most = 0 if least is None else least, 99 if most is None else most
    if not 0 <= least <= quantity <= most <= _MAX_QUANTITY:
        raise invalid(
            f"The quantity must be between the adjustable minimum ({least}) and maximum ({most}).",
            param=asked.name_of("maximum"),
        )
    return {"enabled": True, "maximum": most, "minimum": least}


def optional_items(account: Account, params: Params, currency: str) -> list[JsonObject]:
    """The items that the customer may add."""
    asked = params.children("optional_items")
    if len(asked) > _MAX_OPTIONAL_ITEMS:
        raise invalid(
            f"You can have up to {_MAX_OPTIONAL_ITEMS} optional items.", param="optional_items"
        )
    return [_optional_item(account, each, currency) for each in asked]


def _optional_item(account: Account, asked: Params, currency: str) -> JsonObject:
    price = account.store.get("price", asked.required("price"), param=asked.name_of("price"))
    quantity = asked.positive("quantity")
    if quantity is None:
        raise parameter_missing(asked.name_of("quantity"))
    if price["currency"] != currency or price["recurring"]:
        raise invalid(
            f"Optional items must have one-time prices in {currency}.", param=asked.name_of("price")
        )
    return {
        "adjustable_quantity": adjustable_quantity(asked, quantity),
        "price": price["id"],
        "quantity": quantity,
    }


def _after_expiration(params: Params) -> JsonObject | None:
    if not params.is_object("after_expiration"):
        return None
    asked = params.child("after_expiration").child("recovery")
    enabled = asked.boolean("enabled")
    codes = asked.boolean("allow_promotion_codes")
    recovery = {"allow_promotion_codes": codes, "enabled": enabled, "expires_at": None, "url": None}
    return {"recovery": recovery if enabled else None}


def _automatic_tax(params: Params) -> JsonObject:
    asked = params.child("automatic_tax")
    enabled = asked.boolean("enabled")
    if asked.child("liability").text("type") == "account":
        raise not_supported("taxes of connected accounts", param="automatic_tax[liability][type]")
    return {
        "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
        "provider": "stripe" if enabled else None,
        "status": "requires_location_inputs" if enabled else None,
    }


def _consent_collection(params: Params) -> JsonObject | None:
    if not params.is_object("consent_collection"):
        return None
    asked = params.child("consent_collection")
    agreement = asked.child("payment_method_reuse_agreement").text("position")
    return {
        "payment_method_reuse_agreement": {"position": agreement} if agreement else None,
        "promotions": asked.text("promotions"),
        "terms_of_service": asked.text("terms_of_service"),
    }


def _custom_fields(params: Params) -> list[JsonObject]:
    asked = params.children("custom_fields")
    if len(asked) > _MAX_CUSTOM_FIELDS:
        raise invalid(
            f"You can have up to {_MAX_CUSTOM_FIELDS} custom fields.", param="custom_fields"
        )
    fields = [_custom_field(each) for each in asked]
    if len({field["key"] for field in fields}) < len(fields):
        raise invalid("The keys of custom fields must be unique.", param="custom_fields")
    return fields


def _custom_field(asked: Params) -> JsonObject:
    kind, key = asked.required("type"), asked.required("key")
    label = asked.child("label")
    if not key.isascii() or not key.isalnum():
        raise invalid("A custom field's key must be alphanumeric.", param=asked.name_of("key"))
    if len(label.required("custom")) > _MAX_LABEL:
        raise _too_long(label.name_of("custom"), _MAX_LABEL)
    return {
        "key": key,
        "label": label.each_text(("custom", "type")),
        "optional": asked.boolean("optional"),
        "type": kind,
        kind: _dropdown(asked) if kind == "dropdown" else _written_field(asked.child(kind)),
    }


def _dropdown(asked: Params) -> JsonObject:
    given = asked.child("dropdown")
    options = [each.each_text(("label", "value")) for each in given.children("options")]
    if not 0 < len(options) <= _MAX_DROPDOWN_OPTIONS:
        raise invalid(
            f"A dropdown must have 1 to {_MAX_DROPDOWN_OPTIONS} options.",
            param=given.name_of("options"),
        )
    default = given.text("default_value")
    _check_choice(given, default, [option["value"] or "" for option in options])
    return {"default_value": default, "options": options, "value": None}


def _check_choice(given: Params, default: str | None, choices: Sequence[str]) -> None:
    if default is not None and default not in choices:
        raise invalid(
            "The default value must be one of the options.", param=given.name_of("default_value")
        )


def _written_field(given: Params) -> JsonObject:
    return {
        "default_value": given.text("default_value"),
        "maximum_length": given.positive("maximum_length"),
        "minimum_length": given.positive("minimum_length"),
        "value": None,
    }


def _custom_text(asked: Params) -> JsonObject:
    texts: JsonObject = dict.fromkeys(_TEXTS)
    for name in _TEXTS:
        if asked.is_object(name):
            message = asked.child(name).required("message")
            if len(message) > _MAX_MESSAGE:
                raise _too_long(asked.child(name).name_of("message"), _MAX_MESSAGE)
            texts[name] = {"message": message}
        else:
            asked.text(name)
    return texts


def _invoice_creation(asked: Params) -> JsonObject:
    data = asked.child("invoice_data")
    if data.child("issuer").text("type") == "account":
        raise not_supported(
            "invoices of connected accounts", param=data.child("issuer").name_of("type")
        )
    fields = [each.each_text(("name", "value")) for each in data.children("custom_fields")]
    rendering = data.child("rendering_options").each_text(("amount_tax_display", "template"))
    return {
        "enabled": asked.boolean("enabled"),
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": fields or None,
            "description": data.text("description"),
            "footer": data.text("footer"),
            "issuer": {"type": "self"} if asked.boolean("enabled") else None,
            "metadata": data.metadata(),
            "rendering_options": rendering if any(rendering.values()) else None,
        },
    }


def _saved_methods(params: Params) -> JsonObject | None:
    if not params.has("saved_payment_method_options"):
        return (
            {
                "allow_redisplay_filters": ["always"],
                "payment_method_remove": "disabled",
                "payment_method_save": None,
            }
            if params.text("customer")
            else None
        )
    asked = params.child("saved_payment_method_options")
    return {
        "allow_redisplay_filters": asked.texts("allow_redisplay_filters") or ["always"],
        "payment_method_remove": asked.text("payment_method_remove") or "disabled",
        "payment_method_save": asked.text("payment_method_save"),
    }


def _shipping_address(params: Params) -> JsonObject | None:
    if not params.is_object("shipping_address_collection"):
        return None
    countries = params.child("shipping_address_collection").texts("allowed_countries")
    return {"allowed_countries": countries}


def _name_collection(asked: Params) -> JsonObject:
    return {
        name: {
            "enabled": asked.child(name).boolean("enabled"),
            "optional": asked.child(name).boolean("optional"),
        }
        for name in ("business", "individual")
        if asked.is_object(name)
    }


def _tax_id_collection(params: Params) -> JsonObject:
    asked = params.child("tax_id_collection")
    return {
        "enabled": asked.boolean("enabled"),
        "required": asked.text("required") or "never",
    }


def _branding(asked: Params) -> JsonObject:
    names = ("background_color", "border_style", "button_color", "display_name", "font_family")
    given = {name: value for name, value in asked.each_text(names).items() if value}
    images = {name: _image(asked.child(name)) for name in ("icon", "logo") if asked.is_object(name)}
    return {**_BRANDING, **given, **images}


def _image(asked: Params) -> JsonObject:
    if asked.required("type") == "file":
        raise not_supported("uploaded files", param=asked.name_of("type"))
    url = asked.url("url")
    if url is None:
        raise parameter_missing(asked.name_of("url"))
    return {"type": "url", "url": url}


def _too_long(param: str, most: int) -> Exception:
    return invalid(f"Invalid string: must be at most {most} characters", param=param)


def _enabled(name: str) -> Callable[[Params], JsonObject]:
    return lambda params: {"enabled": params.child(name).boolean("enabled")}


def _wallet_options(params: Params) -> JsonObject | None:
    if not params.is_object("wallet_options"):
        return None
    display = params.child("wallet_options").child("link").text("display") or "auto"
    return {"link": {"display": display}}


_TEXT_OPTIONS = (
    "billing_address_collection", "integration_identifier", "locale", "origin_context",
    "submit_type",
)  # fmt: skip
_OPTIONS: dict[str, Callable[[Params], Any]] = {
    "adaptive_pricing": _enabled("adaptive_pricing"),
    "after_expiration": _after_expiration,
    "allow_promotion_codes": lambda params: params.boolean("allow_promotion_codes"),
    "automatic_tax": _automatic_tax,
    "branding_settings": lambda params: _branding(params.child("branding_settings")),
    "consent_collection": _consent_collection,
    "custom_fields": _custom_fields,
    "custom_text": lambda params: _custom_text(params.child("custom_text")),
    "invoice_creation": lambda params: _invoice_creation(params.child("invoice_creation")),
    "name_collection": lambda params: _name_collection(params.child("name_collection")),
    "phone_number_collection": _enabled("phone_number_collection"),
    "shipping_address_collection": _shipping_address,
    "tax_id_collection": _tax_id_collection,
    "wallet_options": _wallet_options,
}
