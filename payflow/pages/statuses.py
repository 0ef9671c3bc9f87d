"""What customers read about the state of a conversation, an order or a key, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from apikeys.models import ApiKey, GrantState, KeyState
from billing.models import Order, OrderState, OrderStatus
from conversations.models import Conversation, PaymentStatus

Words = str | Promise


class Tone(StrEnum):
    """The colour of a badge. Its text says the same."""

    GOOD = "good"
    WAIT = "wait"
    BAD = "bad"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Status:
    label: Words  # on the badge
    tone: Tone
    text: Words = ""  # in a sentence, with what to do
    can_pay: bool = False


# --- Conversations ------------------------------------------------------------------------------

_OF_CONVERSATION = {
    "paid": Status(_("paid"), Tone.GOOD, _("Your payment is confirmed.")),
    "disputed": Status(
        _("disputed"),
        Tone.BAD,
        _("The payment is disputed with your bank. Its keys are suspended until that is decided."),
    ),
    "partly_refunded": Status(
        _("paid, partly refunded"), Tone.GOOD, _("A part was refunded. The keys go on working.")
    ),
    "on_its_way": Status(
        _("on its way"),
        Tone.WAIT,
        _(
            "You have paid with a method that takes up to a few days to confirm. There is nothing "
            "to do: your key will be on the page of your keys."
        ),
    ),
    "refunded": Status(
        _("refunded"),
        Tone.NONE,
        _("Your payment was refunded, and its keys have ended. You can pay again."),
        can_pay=True,
    ),
    "lost": Status(
        _("charged back"),
        Tone.BAD,
        _("Your bank took the payment back, and its keys have ended. You can pay again."),
        can_pay=True,
    ),
    "failed": Status(
        _("failed"),
        Tone.BAD,
        _("Your bank did not complete the payment. Nothing was charged; you can try again."),
        can_pay=True,
    ),
    "started": Status(
        _("not finished"),
        Tone.NONE,
        _("You opened the payment page and have not paid. Nothing was charged."),
        can_pay=True,
    ),
    "abandoned": Status(
        _("abandoned"),
        Tone.NONE,
        _("The payment page was closed before you paid. Nothing was charged; you can start again."),
        can_pay=True,
    ),
    "unpaid": Status(_("not paid"), Tone.NONE, _("You have not paid yet."), can_pay=True),
}


def of_conversation(conversation: Conversation, orders: Sequence[Order]) -> Status:
    """The status by the conversation's orders, the newest first."""
    if conversation.payment_status == PaymentStatus.FAILED and conversation.declined_at:
        return _declined(conversation.decline_code)
    return _OF_CONVERSATION[_state_of(conversation, orders)]


def _state_of(conversation: Conversation, orders: Sequence[Order]) -> str:
    if conversation.is_paid:
        paying = next((order for order in orders if order.is_good and not order.is_duplicate), None)
        if paying is not None and paying.is_disputed:
            return "disputed"
        return "partly_refunded" if paying is not None and paying.refunded_cents else "paid"
    if any(order.status == OrderStatus.PENDING for order in orders):
        return "on_its_way"
    if conversation.payment_status == PaymentStatus.PENDING:
        return "started"
    of_session = {order.stripe_session_id: order for order in orders}
    last = of_session.get(conversation.stripe_session_id or "")
    if conversation.payment_status == PaymentStatus.FAILED:
        return "failed" if last else "abandoned"
    reversed_ = {OrderState.REFUNDED: "refunded", OrderState.LOST: "lost"}
    return next((reversed_[o.state] for o in orders if o.state in reversed_), "unpaid")


# Stripe's codes (docs.stripe.com/declines/codes). For those that hint at fraud it asks to say no
# more than that the card was declined.
_DECLINES: dict[str, Words] = {
    "insufficient_funds": _("The card has insufficient funds."),
    "expired_card": _("The card has expired."),
    "incorrect_cvc": _("The security code is wrong."),
    "invalid_cvc": _("The security code is wrong."),
    "incorrect_number": _("The card number is wrong."),
    "invalid_number": _("The card number is wrong."),
    "incorrect_zip": _("The postal code is wrong."),
    "card_not_supported": _("The card does not support this kind of payment."),
    "currency_not_supported": _("The card does not support this currency."),
    "card_velocity_exceeded": _("The card's limit is reached."),
    "withdrawal_count_limit_exceeded": _("The card's limit is reached."),
    "processing_error": _("The bank could not process the payment: try again."),
    "try_again_later": _("The bank could not process the payment: try again."),
    "authentication_required": _("The bank asks you to confirm the payment."),
    "payment_intent_authentication_failure": _("The payment was not confirmed with your bank."),
}
_DECLINED: Words = _("Your bank declined the card.")


def _declined(code: str) -> Status:
    text = format_lazy(
        "{} {}",
        _DECLINES.get(code, _DECLINED),
        _("Nothing was charged; you can try again, or with another card."),
    )
    return Status(_("declined"), Tone.BAD, text, can_pay=True)


# --- Orders -------------------------------------------------------------------------------------

_OF_ORDER = {
    OrderState.PENDING: Status(
        _("on its way"), Tone.WAIT, _("Your bank takes up to a few days to confirm it.")
    ),
    OrderState.COMPLETED: Status(_("paid"), Tone.GOOD),
    OrderState.FAILED: Status(
        _("failed"), Tone.BAD, _("Your bank did not complete the payment. Nothing was charged.")
    ),
    OrderState.DUPLICATE: Status(
        _("paid twice"),
        Tone.WAIT,
        _("The conversation was paid before. This payment will be refunded: nothing to do."),
    ),
    OrderState.PARTLY_REFUNDED: Status(_("partly refunded"), Tone.NONE),
    OrderState.REFUNDED: Status(_("refunded"), Tone.NONE),
    OrderState.LOST: Status(
        _("charged back"), Tone.BAD, _("Your bank took the payment back, and its keys have ended.")
    ),
    OrderState.DISPUTED: Status(
        _("disputed"),
        Tone.BAD,
        _("The payment is disputed with your bank. Its keys are suspended until that is decided."),
    ),
}
_OF_REFUND = {
    "succeeded": Status(_("refunded"), Tone.GOOD),
    "failed": Status(
        _("failed"), Tone.BAD, _("Your bank did not take the refund: please write to support.")
    ),
    "canceled": Status(_("cancelled"), Tone.NONE),
}
_REFUND_ON_ITS_WAY = Status(_("on its way"), Tone.WAIT)


def of_order(order: Order) -> Status:
    return _OF_ORDER[order.state]


def of_refund(stripe_status: str) -> Status:
    return _OF_REFUND.get(stripe_status, _REFUND_ON_ITS_WAY)


# --- Keys ---------------------------------------------------------------------------------------

_SUSPENDED_BY: dict[str, Words] = {
    GrantState.SUSPENDED: _(
        "It does not work while the payment is disputed with your bank, and works again if the "
        "dispute is won."
    ),
    GrantState.STOPPED: _("Support stopped the keys of this payment."),
}


def of_key(key: ApiKey) -> Status:
    """Whether the key works, and why not."""
    state = key.state
    if state == KeyState.SUSPENDED:
        text = _SUSPENDED_BY.get(key.grant.state, _("Support suspended this key."))
        if key.grant.stopped_at and key.grant.stopped_reason:
            text = format_lazy("{} {}: {}", text, _("Reason"), key.grant.stopped_reason)
        return Status(_("suspended"), Tone.BAD, text)
    if state == KeyState.EXPIRED:
        return Status(_("expired"), Tone.NONE, _("It stopped working on the day you chose."))
    if state == KeyState.ROTATED:
        return Status(
            _("replaced"),
            Tone.WAIT,
            format_lazy(_("A new key has replaced it. It works until {}."), _time(key.expires_at)),
        )
    if not key.is_revealed:
        text = _("It is ready, and nobody has seen it. It is shown once, when you reveal it.")
        return Status(_("to be revealed"), Tone.WAIT, text)
    return Status(_("works"), Tone.GOOD)


def _time(at: Any) -> str:
    return date_format(at, "DATETIME_FORMAT") if at else ""
