"""Payment method types that a payment or a Checkout Session offers."""

from __future__ import annotations

from sandbox.errors import invalid, not_supported
from sandbox.flows.testcards import DELAYED_METHOD_OF_CURRENCY
from sandbox.params import Params

_COVERED = frozenset({"card", "link", *DELAYED_METHOD_OF_CURRENCY.values()})


def default_types(currency: str) -> list[str]:
    """Cards, and the bank debit of the currency if there is one."""
    debit = DELAYED_METHOD_OF_CURRENCY.get(currency)
    return ["card", *([debit] if debit else [])]


def offered_types(params: Params, currency: str) -> list[str]:
    """The requested types. Raises a 400 for one that the currency or the sandbox does not have.

    `payment_method_types` is a demand; `allowed_payment_method_types` filters what is compatible.
    """
    demanded = _covered(params, "payment_method_types")
    allowed = _covered(params, "allowed_payment_method_types")
    excluded = params.texts("excluded_payment_method_types")
    compatible = [*default_types(currency), "link"]
    for name in demanded:
        if name not in compatible:
            raise invalid(
                f"The currency provided ({currency}) is invalid for the payment method type "
                f"{name}.",
                param="payment_method_types",
            )
    asked = demanded or [name for name in allowed if name in compatible]
    if not params.has("payment_method_types") and not allowed:
        asked = default_types(currency)
    offered = [name for name in asked if name not in excluded]
    if not offered:
        raise invalid(
            "No valid payment method types for this payment. Please ensure that you have "
            "activated payment methods compatible with your chosen currency.",
            param="allowed_payment_method_types" if allowed else "excluded_payment_method_types",
        )
    return offered


def _covered(params: Params, key: str) -> list[str]:
    names = params.texts(key)
    for index, name in enumerate(names):
        if name not in _COVERED:
            raise not_supported(
                f"payment methods of type {name}", param=f"{params.name_of(key)}[{index}]"
            )
    return names
