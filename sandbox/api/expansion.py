"""The `expand` parameter: replaces ids by the objects they refer to.

Stripe docs: https://docs.stripe.com/api/expanding_objects (four levels; `data.` for lists).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.account import Account
from sandbox.api.pagination import envelope
from sandbox.errors import invalid
from sandbox.flows.cash_balance import balance_of
from sandbox.flows.saved_methods import sources_of
from sandbox.json_types import JsonObject
from sandbox.store import Query

_MAX_DEPTH = 4

_REFERENCES: dict[str, frozenset[str]] = {
    "balance_transaction": frozenset({"source"}),
    "charge": frozenset(
        {
            "application", "application_fee", "balance_transaction", "customer",
            "failure_balance_transaction", "on_behalf_of", "payment_intent",
            "payment_method_details.card.mandate", "review", "source_transfer", "transfer",
            "transfer_data.destination",
        }
    ),
    "checkout.session": frozenset(
        {
            "automatic_tax.liability.account", "customer", "discounts.coupon",
            "discounts.promotion_code", "invoice", "invoice_creation.invoice_data.issuer.account",
            "payment_intent", "payment_link", "setup_intent", "shipping_cost.shipping_rate",
            "shipping_options.shipping_rate", "subscription",
        }
    ),
    "customer": frozenset(
        {"default_source", "invoice_settings.default_payment_method", "test_clock"}
    ),
    "customer_cash_balance_transaction": frozenset(
        {
            "adjusted_for_overdraft.balance_transaction",
            "adjusted_for_overdraft.linked_transaction", "applied_to_payment.payment_intent",
            "customer", "refunded_from_payment.refund",
            "transferred_to_balance.balance_transaction",
            "unapplied_from_payment.payment_intent",
        }
    ),
    "discount": frozenset({"customer", "promotion_code", "source.coupon"}),
    "dispute": frozenset(
        {
            "charge", "evidence.cancellation_policy", "evidence.customer_communication",
            "evidence.customer_signature", "evidence.duplicate_charge_documentation",
            "evidence.receipt", "evidence.refund_policy", "evidence.service_documentation",
            "evidence.shipping_documentation", "evidence.uncategorized_file", "payment_intent",
        }
    ),
    "mandate": frozenset({"payment_method"}),
    "invoice": frozenset(
        {"application", "customer", "default_payment_method", "discounts", "on_behalf_of"}
    ),
    "payment_intent": frozenset(
        {
            "application", "customer", "latest_charge", "on_behalf_of", "payment_method",
            "payment_record", "review", "source", "transfer_data.destination",
        }
    ),
    "payment_link": frozenset(
        {
            "application", "automatic_tax.liability.account",
            "invoice_creation.invoice_data.issuer.account", "on_behalf_of",
            "shipping_options.shipping_rate", "transfer_data.destination",
        }
    ),
    "payment_method": frozenset(
        {
            "card.generated_from.setup_attempt", "customer", "sepa_debit.generated_from.charge",
            "sepa_debit.generated_from.setup_attempt",
        }
    ),
    "price": frozenset({"product"}),
    "product": frozenset({"default_price", "tax_code"}),
    "promotion_code": frozenset({"customer", "promotion.coupon"}),
    "radar.early_fraud_warning": frozenset({"charge", "payment_intent"}),
    "refund": frozenset(
        {
            "balance_transaction", "charge", "customer", "failure_balance_transaction",
            "payment_intent", "payment_method", "source_transfer_reversal", "transfer_reversal",
        }
    ),
    "setup_attempt": frozenset(
        {"application", "customer", "on_behalf_of", "payment_method", "setup_intent"}
    ),
    "setup_intent": frozenset(
        {
            "application", "customer", "latest_attempt", "mandate", "on_behalf_of",
            "payment_method", "single_use_mandate",
        }
    ),
}  # fmt: skip
"""Fields that hold an id and can be expanded, by kind of object; dots lead into nested hashes."""


@dataclass(frozen=True)
class _Place:
    """Where the expansion is: in an object, at a field inside it."""

    obj: JsonObject
    field: str = ""

    @property
    def kind(self) -> str:
        return str(self.obj.get("object"))

    def inside(self, name: str) -> _Place:
        return _Place(self.obj, f"{self.field}.{name}" if self.field else name)


def expand(account: Account, response: JsonObject, paths: Sequence[str]) -> JsonObject:
    """Expand `paths` in a response, in place. Raises a 400 if a path cannot be expanded."""
    for path in paths:
        names = path.split(".")
        depth = len(names) - (names[0] == "data")
        if depth > _MAX_DEPTH:
            raise invalid(
                f"You cannot expand more than {_MAX_DEPTH} levels of a property.", param="expand"
            )
        _expand_in(account, _Place(response), response, names)
    return response


def _expand_in(account: Account, place: _Place, value: Any, names: list[str]) -> None:
    if not names or value is None:
        return
    if isinstance(value, list):
        for each in value:
            _expand_in(account, place, each, names)
        return
    if not isinstance(value, dict):
        raise _cannot_be_expanded(names)
    if "object" in value:
        place = _Place(value)
    name, place = names[0], place.inside(names[0])
    if name not in value and (include := _INCLUDED.get((place.kind, place.field))):
        value[name] = include(account, place.obj)
    inner = value.get(name)
    if place.field in _REFERENCES.get(place.kind, ()):
        if isinstance(inner, str):
            value[name] = account.store.find(inner) or inner
    elif (place.kind, place.field) == ("search_result", "total_count"):
        return  # the search has counted
    elif place.field in _USER_DATA or (name not in value) or _is_plain(inner):
        raise _cannot_be_expanded(names)
    _expand_in(account, place, value.get(name), names[1:])


_USER_DATA = frozenset({"metadata", "shipping"})
"""Fields that hold the caller's own data: never expanded, even if they look like objects."""


def _is_plain(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _line_items(account: Account, session: JsonObject) -> JsonObject:
    items = account.store.get_private(session["id"])["line_items"]
    return envelope(items, f"/v1/checkout/sessions/{session['id']}/line_items")


def _link_items(account: Account, link: JsonObject) -> JsonObject:
    items = account.store.get_private(link["id"])["line_items"]
    return envelope(items, f"/v1/payment_links/{link['id']}/line_items")


def _sources(account: Account, customer: JsonObject) -> JsonObject:
    items = sources_of(account, customer["id"])
    return envelope(items, f"/v1/customers/{customer['id']}/sources")


def _cash_balance(account: Account, customer: JsonObject) -> JsonObject:
    return balance_of(account, customer["id"])


def _refunds(account: Account, charge: JsonObject) -> JsonObject:
    query = Query("refund")
    query.where_equal("charge", charge["id"])
    return envelope(account.store.select(query), f"/v1/charges/{charge['id']}/refunds")


def _discount_amounts(account: Account, item: JsonObject) -> list[JsonObject]:
    discounts: list[JsonObject] = account.store.get_private(item["id"]).get("discounts", [])
    return discounts


def _tax_amounts(account: Account, item: JsonObject) -> list[JsonObject]:
    taxes: list[JsonObject] = account.store.get_private(item["id"]).get("taxes", [])
    return taxes


def _breakdown(account: Account, session: JsonObject) -> JsonObject:
    private = account.store.get_private(session["id"])
    return {"discounts": private.get("discounts", []), "taxes": private.get("taxes", [])}


_INCLUDED: dict[tuple[str, str], Callable[[Account, JsonObject], Any]] = {
    ("charge", "refunds"): _refunds,
    ("customer", "cash_balance"): _cash_balance,
    ("customer", "sources"): _sources,
    ("payment_link", "line_items"): _link_items,
    ("checkout.session", "line_items"): _line_items,
    ("checkout.session", "total_details.breakdown"): _breakdown,
    ("item", "discounts"): _discount_amounts,
    ("item", "taxes"): _tax_amounts,
}
"""Fields that an object has only when they are expanded."""


def _cannot_be_expanded(names: list[str]) -> Exception:
    return invalid(f"This property cannot be expanded ({'.'.join(names)[:100]}).", param="expand")
