"""Payment method types: those that the sandbox can pay with, and the currencies of each.

Stripe docs: https://docs.stripe.com/payments/payment-methods/payment-method-support
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sandbox.errors import ApiError, invalid, not_supported
from sandbox.flows.testcards import DELAYED_METHOD_OF_CURRENCY
from sandbox.params import Params

SUPPORTED_TYPES = frozenset({"card", *DELAYED_METHOD_OF_CURRENCY.values()})

_ONE_CURRENCY = {
    "au_becs_debit": "aud", "bacs_debit": "gbp", "bancontact": "eur", "bizum": "eur",
    "blik": "pln", "boleto": "brl", "eps": "eur", "fpx": "myr", "giropay": "eur",
    "grabpay": "sgd", "ideal": "eur", "konbini": "jpy", "mb_way": "eur", "multibanco": "eur",
    "nz_bank_account": "nzd", "oxxo": "mxn", "paynow": "sgd", "paypay": "jpy", "payto": "aud",
    "pix": "brl", "promptpay": "thb", "sepa_debit": "eur", "sofort": "eur", "sunbit": "usd",
    "swish": "sek", "twint": "chf", "upi": "inr", "us_bank_account": "usd",
}  # fmt: skip

_OTHER_TYPES = frozenset(
    {
        "acss_debit", "affirm", "afterpay_clearpay", "alipay", "alma", "amazon_pay", "billie",
        "card_present", "cashapp", "crypto", "customer_balance", "interac_present", "kakao_pay",
        "klarna", "kr_card", "link", "mobilepay", "naver_pay", "p24", "pay_by_bank", "payco",
        "paypal", "revolut_pay", "samsung_pay", "satispay", "scalapay", "sequra", "wechat_pay",
        "zip",
    }
)  # fmt: skip


def offered_types(currency: str) -> list[str]:
    """The types offered when the caller names none: cards, and the currency's bank debit."""
    delayed = DELAYED_METHOD_OF_CURRENCY.get(currency)
    return ["card", delayed] if delayed else ["card"]


def requested_types(
    params: Params, currency: str, *, default: list[str], more: Collection[str] = ()
) -> list[str]:
    """The types that a request names, less the excluded ones; the default if it names none.

    `payment_method_types` is a demand, `allowed_payment_method_types` a filter: what the currency
    does not have is refused by the one and left out by the other. `more` are types that the caller
    supports in addition.
    """
    demanded = params.texts("payment_method_types")
    allowed = params.texts("allowed_payment_method_types")
    excluded = params.texts("excluded_payment_method_types")
    check_types(demanded, currency, param="payment_method_types", more=more)
    fitting = [name for name in allowed if _ONE_CURRENCY.get(name, currency) == currency]
    check_types(fitting, currency, param="allowed_payment_method_types", more=more)
    asked = demanded or (fitting if allowed else default)
    offered = [name for name in asked if name not in excluded]
    if not offered:
        raise invalid(
            "No valid payment method types for this payment. Please ensure that you have "
            "activated payment methods compatible with your chosen currency.",
            param="allowed_payment_method_types" if allowed else "excluded_payment_method_types",
        )
    return offered


def check_types(
    types: Sequence[str], currency: str, *, param: str, more: Collection[str] = ()
) -> None:
    """Raise Stripe's error for a type that does not exist or does not take the currency."""
    for name in types:
        if name not in _ONE_CURRENCY and name not in _OTHER_TYPES and name != "card":
            raise _invalid_type(name, param)
        wanted = _ONE_CURRENCY.get(name, currency)
        if wanted != currency:
            raise invalid(
                f"The currency provided ({currency}) is invalid. Payments with {name} support the "
                f"following currencies: {wanted}.",
                param=param,
                code="payment_intent_invalid_currency",
            )
        if name not in SUPPORTED_TYPES | {"link", *more}:
            raise not_supported(f"payment methods of type {name}", param=param)


def _invalid_type(name: str, param: str) -> ApiError:
    return invalid(
        f'The payment method type "{name[:60]}" is invalid. Please ensure the provided type is '
        "activated in your dashboard and your account is enabled for any preview features that "
        "you are trying to use.",
        param=param,
        code="payment_intent_invalid_parameter",
    )
