"""Builds a new Checkout Session from request parameters and validates them.

Stripe docs: https://docs.stripe.com/api/checkout/sessions/create
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from sandbox.account import Account
from sandbox.errors import invalid, not_supported, parameter_missing, parameter_unknown
from sandbox.flows.catalog import create_price, create_product
from sandbox.flows.testcards import DELAYED_METHOD_OF_CURRENCY
from sandbox.json_types import JsonObject
from sandbox.money import amount_text
from sandbox.objects.catalog import line_item
from sandbox.objects.sessions import checkout_session
from sandbox.params import Params

_TYPES_REMOVED_IN = "2026-09-30"
_MIN_AMOUNT = 50
_MAX_AMOUNT = 99999999
_MIN_LIFETIME = 30 * 60
_MAX_LIFETIME = 24 * 3600
_TOLERANCE = 60
_MAX_LINE_ITEMS = 100

_SUPPORTED = frozenset(
    {
        "mode", "line_items", "success_url", "cancel_url", "customer", "customer_email",
        "client_reference_id", "metadata", "payment_intent_data", "payment_method_types",
        "allowed_payment_method_types", "excluded_payment_method_types", "discounts",
        "expires_at", "locale", "submit_type", "ui_mode", "currency",
        "payment_method_collection", "billing_address_collection", "customer_creation",
        "allow_promotion_codes", "integration_identifier",
    }
)  # fmt: skip

_UNSUPPORTED = frozenset(
    {
        "adaptive_pricing", "after_expiration", "automatic_tax", "branding_settings",
        "consent_collection", "custom_fields", "custom_text", "customer_account",
        "customer_update", "invoice_creation", "managed_payments", "name_collection",
        "optional_items", "origin_context", "payment_method_configuration",
        "payment_method_data", "payment_method_options", "permissions",
        "phone_number_collection", "redirect_on_completion", "return_url",
        "saved_payment_method_options", "setup_intent_data", "shipping_address_collection",
        "shipping_options", "subscription_data", "tax_id_collection", "wallet_options",
    }
)  # fmt: skip

_INTENT_TEXTS = (
    "description", "receipt_email", "setup_future_usage", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_group",
)  # fmt: skip


@dataclass(frozen=True)
class Totals:
    """Amounts of a session."""

    currency: str
    subtotal: int
    discount: int


def build_session(
    account: Account, params: Params, *, version: str
) -> tuple[JsonObject, JsonObject]:
    """Build a session and its private data. Neither is stored yet."""
    _refuse_unknown(params, version)
    _refuse_unsupported(params)
    items = _line_items(account, params)
    total = _total(account, params, items)
    created = account.clock.timestamp()
    session = checkout_session(
        subtotal=total.subtotal,
        discount=total.discount,
        currency=total.currency,
        created=created,
        url_base=account.base_url,
        success_url=_success_url(params),
        cancel_url=params.url("cancel_url"),
        expires_at=_expires_at(params, created),
        payment_method_types=_method_types(params, total.currency),
        customer=_customer(account, params),
        metadata=params.metadata(),
        **_copied_fields(params),
    )
    private = {"line_items": items, "payment_intent_data": _intent_data(params)}
    return session, private


def _refuse_unknown(params: Params, version: str) -> None:
    if params.has("payment_method_types") and version >= _TYPES_REMOVED_IN:
        raise parameter_unknown("payment_method_types")
    for name in _UNSUPPORTED:
        if params.has(name):
            raise not_supported(f"`{name}` on Checkout Sessions", param=name)


def _refuse_unsupported(params: Params) -> None:
    mode = params.required("mode")
    if mode in {"subscription", "setup"}:
        raise not_supported(f"Checkout Sessions in {mode} mode", param="mode")
    params.one_of("mode", ["payment", "setup", "subscription"], default="payment")
    ui_mode = params.text("ui_mode") or "hosted_page"
    if ui_mode not in {"hosted_page", "hosted"}:
        raise not_supported(f"the {ui_mode} user interface", param="ui_mode")
    if params.boolean("allow_promotion_codes"):
        raise not_supported("promotion codes", param="allow_promotion_codes")


def _copied_fields(params: Params) -> JsonObject:
    """Parameters that are copied to the session unchanged."""
    reference = params.text("client_reference_id")
    if reference is not None and len(reference) > 200:
        raise invalid("Invalid string: must be at most 200 characters", param="client_reference_id")
    email = params.text("customer_email")
    if email is not None and "@" not in email.strip("@"):
        raise invalid(
            f"Invalid email address: {email}", param="customer_email", code="email_invalid"
        )
    names = ("locale", "submit_type", "billing_address_collection", "integration_identifier")
    return {
        **params.each_text(names),
        "client_reference_id": reference,
        "customer_creation": params.text("customer_creation") or "if_required",
        "customer_email": email,
    }


def _line_items(account: Account, params: Params) -> list[JsonObject]:
    asked = params.children("line_items")
    if not asked:
        raise parameter_missing("line_items")
    if len(asked) > _MAX_LINE_ITEMS:
        raise invalid(f"You can have up to {_MAX_LINE_ITEMS} line items.", param="line_items")
    items = [_line_item(account, each) for each in asked]
    currencies = {item["currency"] for item in items} | {params.text("currency") or "any"}
    if len(currencies - {"any"}) > 1:
        raise invalid("All line items must have the same currency.", param="line_items")
    return items


def _line_item(account: Account, asked: Params) -> JsonObject:
    if asked.child("adjustable_quantity").boolean("enabled"):
        raise not_supported("adjustable quantities", param=asked.name_of("adjustable_quantity"))
    quantity = asked.positive("quantity")
    if quantity is None:
        raise parameter_missing(asked.name_of("quantity"))
    price = _price(account, asked)
    product = account.store.get("product", price["product"])
    return line_item(price, description=product["name"], quantity=quantity)


def _price(account: Account, asked: Params) -> JsonObject:
    if identifier := asked.text("price"):
        price = account.store.get("price", identifier, param=asked.name_of("price"))
        if not price["active"]:
            raise invalid(
                "The price specified is inactive. This field only accepts active prices.",
                param=asked.name_of("price"),
            )
        if price["recurring"]:
            raise invalid(
                "You specified `payment` mode but passed a recurring price. Either switch to "
                "`subscription` mode or use only one-time prices.",
                param=asked.name_of("price"),
            )
        return price
    if asked.mapping("price_data") is None:
        raise parameter_missing(asked.name_of("price"))
    data = asked.child("price_data")
    product = data.text("product")
    if product is None:
        product = create_product(account, data.child("product_data"))["id"]
    return create_price(account, data, product, active=False)


def _total(account: Account, params: Params, items: list[JsonObject]) -> Totals:
    currency = str(items[0]["currency"])
    subtotal = sum(int(item["amount_subtotal"]) for item in items)
    discount = _discount(account, params, subtotal, currency)
    due = subtotal - discount
    if due > _MAX_AMOUNT:
        raise invalid(
            "The Checkout Session's total amount due must be no more than "
            f"{amount_text(_MAX_AMOUNT, currency)}.",
            code="amount_too_large",
        )
    if 0 < due < _MIN_AMOUNT:
        raise invalid(
            "The Checkout Session's total amount due must add up to at least "
            f"{amount_text(_MIN_AMOUNT, currency)} {currency}",
            code="amount_too_small",
        )
    return Totals(currency, subtotal, discount)


def _discount(account: Account, params: Params, subtotal: int, currency: str) -> int:
    discounts = params.children("discounts")
    if not discounts:
        return 0
    if len(discounts) > 1:
        raise invalid("You may only specify one discount.", param="discounts")
    asked = discounts[0]
    identifier = asked.required("coupon")
    coupon = account.store.get("coupon", identifier, param=asked.name_of("coupon"))
    if coupon["percent_off"] is not None:
        off = Decimal(str(coupon["percent_off"]))
        return min(subtotal, int((subtotal * off / 100).to_integral_value(ROUND_HALF_UP)))
    if coupon["currency"] != currency:
        raise invalid(
            f"The coupon is in {coupon['currency']} and the line items are in {currency}.",
            param=asked.name_of("coupon"),
        )
    return min(subtotal, int(coupon["amount_off"]))


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


def _method_types(params: Params, currency: str) -> list[str]:
    offered = ["card"]
    if delayed := DELAYED_METHOD_OF_CURRENCY.get(currency):
        offered.append(delayed)
    asked = params.texts("payment_method_types") or params.texts("allowed_payment_method_types")
    excluded = params.texts("excluded_payment_method_types")
    for name in asked:
        if name not in {"card", "link", *DELAYED_METHOD_OF_CURRENCY.values()}:
            raise not_supported(f"payment methods of type {name}", param="payment_method_types")
        if name not in {"link", *offered}:
            raise invalid(
                f"The currency {currency} cannot be paid with {name}.", param="line_items"
            )
    return [name for name in asked or offered if name not in excluded]


def _customer(account: Account, params: Params) -> str | None:
    identifier = params.text("customer")
    if identifier is None:
        return None
    if params.text("customer_email"):
        raise invalid(
            "You may only specify one of these parameters: customer, customer_email.",
            param="customer_email",
        )
    return str(account.store.get("customer", identifier, param="customer")["id"])


def _intent_data(params: Params) -> JsonObject:
    asked = params.child("payment_intent_data")
    if (asked.text("capture_method") or "automatic_async") == "manual":
        raise not_supported("manual capture", param=asked.name_of("capture_method"))
    return {
        **asked.each_text(_INTENT_TEXTS),
        "metadata": asked.metadata(),
        "shipping": asked.mapping("shipping"),
    }
