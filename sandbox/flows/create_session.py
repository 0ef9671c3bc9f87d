"""Builds a new Checkout Session from request parameters and validates them.

Stripe docs: https://docs.stripe.com/api/checkout/sessions/create
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import ApiError, exclusive, invalid, not_supported, parameter_missing
from sandbox.flows.catalog import create_price, create_product
from sandbox.flows.method_types import offered_types, requested_types
from sandbox.flows.session_discounts import check_restrictions, requested_coupon
from sandbox.flows.session_options import (
    adjustable_quantity,
    check_customer_data,
    customer_updates,
    optional_items,
    page_options,
)
from sandbox.flows.session_totals import check_total, compute_totals
from sandbox.flows.shipping_rates import shipping_options
from sandbox.json_types import JsonObject
from sandbox.objects.catalog import line_item
from sandbox.objects.customers import shipping
from sandbox.objects.sessions import checkout_session, known_details, session_method_options
from sandbox.params import Params

_MIN_LIFETIME = 30 * 60
_MAX_LIFETIME = 24 * 3600
_TOLERANCE = 60
_MAX_LINE_ITEMS = 100
_MAX_REFERENCE = 200

_ALLOWED_TYPES = "allowed_payment_method_types"
_INTENT_TEXTS = (
    "description", "receipt_email", "setup_future_usage", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip


def build_session(
    account: Account, params: Params, *, version: str
) -> tuple[JsonObject, JsonObject]:
    """Build a session and its private data. Neither is stored yet."""
    _refuse_unsupported(params)
    items = _line_items(account, params)
    currency = str(items[0]["currency"])
    customer = _customer(account, params)
    created = account.clock.timestamp()
    updates = customer_updates(params)
    session = checkout_session(
        currency=currency,
        created=created,
        url_base=account.base_url,
        success_url=_success_url(params),
        cancel_url=params.url("cancel_url"),
        expires_at=_expires_at(params, created),
        client_reference_id=_reference(params),
        metadata=params.metadata(),
        shipping_options=shipping_options(account, params, currency),
        **_method_fields(params, currency),
        **_customer_fields(params, customer),
        **page_options(params),
    )
    if offered := optional_items(account, params, currency):
        session["optional_items"] = offered
    private: JsonObject = {
        "line_items": items,
        "payment_intent_data": _intent_data(params),
    }
    if redisplay := params.child("payment_method_data").text("allow_redisplay"):
        private["allow_redisplay"] = redisplay
    if customer is not None:
        private["customer_update"] = updates
        check_customer_data(session, customer, updates)
        private["tax_location"] = (customer["shipping"] or {}).get("address") or customer["address"]
    if session["shipping_options"]:
        private["shipping_rate"] = session["shipping_options"][0]["shipping_rate"]
    redeemed = requested_coupon(account, params)
    if redeemed:
        private["coupon"] = redeemed[0]
        private["promotion_code"] = redeemed[1] and redeemed[1]["id"]
    compute_totals(account, session, private)
    if redeemed and redeemed[1]:
        check_restrictions(redeemed[1], session, int(session["amount_subtotal"]))
    check_total(session)
    if session["after_expiration"] and session["after_expiration"]["recovery"]:
        private["params"] = params.all_sent()
    return session, private


def _refuse_unsupported(params: Params) -> None:
    mode = params.required("mode")
    if mode != "payment":
        raise not_supported(f"Checkout Sessions in {mode} mode", param="mode")
    ui_mode = params.text("ui_mode") or "hosted_page"
    if ui_mode != "hosted_page":
        raise not_supported(f"the {ui_mode} user interface", param="ui_mode")


def _reference(params: Params) -> str | None:
    reference = params.text("client_reference_id")
    if reference is not None and len(reference) > _MAX_REFERENCE:
        raise invalid(
            f"Invalid string: must be at most {_MAX_REFERENCE} characters",
            param="client_reference_id",
        )
    return reference


def _customer_fields(params: Params, customer: JsonObject | None) -> JsonObject:
    """The customer, if given, and the contact details that are known before the payment."""
    if customer is not None:
        return {
            "customer": customer["id"],
            "customer_creation": None,
            "customer_details": known_details(customer["email"]),
        }
    email = params.email("customer_email")
    return {
        "customer_creation": params.text("customer_creation") or "if_required",
        "customer_details": known_details(email) if email else None,
        "customer_email": email,
    }


def _line_items(account: Account, params: Params) -> list[JsonObject]:
    asked = params.children("line_items")
    if not asked:
        raise parameter_missing("line_items")
    if len(asked) > _MAX_LINE_ITEMS:
        raise invalid(f"You can have up to {_MAX_LINE_ITEMS} line items.", param="line_items")
    items = [_line_item(account, each) for each in asked]
    currencies = {item["currency"] for item in items} | {params.currency() or "any"}
    if len(currencies - {"any"}) > 1:
        raise invalid("All line items must have the same currency.", param="line_items")
    return items


def _line_item(account: Account, asked: Params) -> JsonObject:
    quantity = asked.positive("quantity")
    if quantity is None:
        raise parameter_missing(asked.name_of("quantity"))
    price = _price(account, asked)
    product = account.store.get("product", price["product"])
    return line_item(
        price,
        description=product["name"],
        quantity=quantity,
        adjustable_quantity=adjustable_quantity(asked, quantity),
        metadata=asked.metadata(),
    )


def _price(account: Account, asked: Params) -> JsonObject:
    if asked.has("price") and asked.has("price_data"):
        raise exclusive(asked.name_of("price"), asked.name_of("price_data"))
    if identifier := asked.text("price"):
        price = account.store.get("price", identifier, param=asked.name_of("price"))
        if not price["active"]:
            raise invalid(
                "The price specified is inactive. This field only accepts active prices.",
                param=asked.name_of("price"),
            )
        if price["recurring"]:
            raise _recurring_in_payment_mode(asked.name_of("price"))
        return price
    if not asked.is_object("price_data"):
        raise parameter_missing(asked.name_of("price"))
    data = asked.child("price_data")
    if data.has("recurring"):
        raise _recurring_in_payment_mode(data.name_of("recurring"))
    product = data.text("product")
    if product and data.has("product_data"):
        raise exclusive(data.name_of("product"), data.name_of("product_data"))
    if product is None:
        product = create_product(account, data.child("product_data"))["id"]
    return create_price(account, data, product, active=False)


def _recurring_in_payment_mode(param: str) -> ApiError:
    return invalid(
        "You specified `payment` mode but passed a recurring price. Either switch to "
        "`subscription` mode or use only one-time prices.",
        param=param,
    )


def _success_url(params: Params) -> str:
    url = params.url("success_url")
    if url is None:
        raise parameter_missing("success_url")
    return url


def _expires_at(params: Params, created: int) -> int:
    asked = params.integer("expires_at")
    if asked is None:
        return created + _MAX_LIFETIME
    if not created + _MIN_LIFETIME - _TOLERANCE <= asked <= created + _MAX_LIFETIME + _TOLERANCE:
        raise invalid(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours "
            "from Checkout Session creation.",
            param="expires_at",
        )
    return asked


def _method_fields(params: Params, currency: str) -> JsonObject:
    """The payment method types, as requested and as offered, and their options."""
    types = requested_types(params, currency, default=offered_types(currency))
    options = session_method_options(types)
    card = params.child("payment_method_options").child("card")
    for name in ("request_three_d_secure", "setup_future_usage"):
        if "card" in options and (value := card.text(name)):
            options["card"][name] = value
    fields: JsonObject = {
        _ALLOWED_TYPES: params.texts(_ALLOWED_TYPES) or None,
        "payment_method_types": types,
        "payment_method_options": options,
    }
    if excluded := params.texts("excluded_payment_method_types"):
        fields["excluded_payment_method_types"] = excluded
    return fields


def _customer(account: Account, params: Params) -> JsonObject | None:
    identifier = params.text("customer")
    if identifier is None:
        return None
    for other in ("customer_email", "customer_creation"):
        if params.text(other):
            raise exclusive("customer", other)
    return account.store.get("customer", identifier, param="customer")


def _intent_data(params: Params) -> JsonObject:
    asked = params.child("payment_intent_data")
    asked.email("receipt_email")
    return {
        **asked.each_text(_INTENT_TEXTS),
        "capture_method": asked.text("capture_method") or "automatic_async",
        "metadata": asked.metadata(),
        "shipping": shipping(asked.mapping("shipping")),
    }
