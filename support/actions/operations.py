"""The deeds behind the actions: each calls one service and says in words what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from apikeys import services as apikeys
from apikeys.models import ApiKey, Grant
from apikeys.secret_patterns import redact
from billing import checkout
from billing.events import log
from billing.models import Order, OrderStatus, Refund, StripeEvent
from billing.reversals import COUNTED_REFUNDS
from billing.stripe import client
from conversations.models import Conversation
from support import money
from support.models import Kind, SupportAction

# Stripe forgets an idempotency key after 24 hours, and pays a second time for it then.
RESUMABLE_FOR = timedelta(hours=23)


class ActionRefused(Exception):
    """It cannot be done. The text says why."""


class OutcomeUnknown(Exception):
    """Stripe did not answer as it should: whether it was done is not known."""


# What staff have done to a subject: read once, then asked by every unavailable_reason.
Trail = Sequence[SupportAction]


Subject = Order | StripeEvent | ApiKey | Grant | Conversation


def trail_of(*subjects: Subject) -> Trail:
    """The actions on these very rows, oldest first."""
    about = Q()
    for subject in subjects:
        about |= _is_about(subject)
    return list(SupportAction.objects.filter(about).select_related("actor").order_by("pk"))


def _is_about(subject: Subject) -> Q:
    if isinstance(subject, StripeEvent):
        return Q(event_id=subject.event_id)
    if isinstance(subject, ApiKey):
        return Q(api_key=subject)
    if isinstance(subject, Grant):
        return Q(grant=subject)
    return Q(conversation=subject) if isinstance(subject, Conversation) else Q(order=subject)


def no_unavailable_reason(subject: object, trail: Trail) -> str:
    return ""


def _is_handled(trail: Trail, **about: object) -> bool:
    return any(
        action.kind == Kind.MARK_HANDLED
        and action.succeeded
        and all(getattr(action, name) == value for name, value in about.items())
        for action in trail
    )


# --- Keys -----------------------------------------------------------------------------------------


def revoke_unavailable_reason(key: ApiKey, trail: Trail = ()) -> str:
    return "It is revoked." if key.revoked_at else ""


def suspend_unavailable_reason(key: ApiKey, trail: Trail = ()) -> str:
    return revoke_unavailable_reason(key) or ("It is suspended." if key.suspended_at else "")


def restore_unavailable_reason(key: ApiKey, trail: Trail = ()) -> str:
    return revoke_unavailable_reason(key) or ("" if key.suspended_at else "It is not suspended.")


def reveal_unavailable_reason(key: ApiKey, trail: Trail = ()) -> str:
    if key.is_revealed:
        return "It was revealed before. Revoke it; its owner can create another."
    if key.rotated_at:
        return "It was rotated; its successor has been shown."
    return "" if key.may_authenticate() else f"It is {key.state.label}."


def stop_unavailable_reason(grant: Grant, trail: Trail = ()) -> str:
    return "It is stopped." if grant.stopped_at else ""


def resume_unavailable_reason(grant: Grant, trail: Trail = ()) -> str:
    return "" if grant.stopped_at else "It is not stopped."


def revoke_key(key: ApiKey, trace: SupportAction) -> str:
    if not apikeys.revoke(key.pk, reason=trace.reason):
        raise ActionRefused("It was revoked meanwhile.")
    return f"Key {key} revoked."


def suspend_key(key: ApiKey, trace: SupportAction) -> str:
    if not apikeys.suspend(key.pk):
        raise ActionRefused("It was stopped meanwhile.")
    return f"Key {key} suspended."


def restore_key(key: ApiKey, trace: SupportAction) -> str:
    if not apikeys.restore(key.pk):
        raise ActionRefused("It is not suspended any more.")
    return f"Key {key} restored."


def stop_grant(grant: Grant, trace: SupportAction) -> str:
    if not apikeys.stop_grant(grant.pk, reason=trace.reason):
        raise ActionRefused("It was stopped meanwhile.")
    return f"{grant} stopped."


def resume_grant(grant: Grant, trace: SupportAction) -> str:
    if not apikeys.resume_grant(grant.pk):
        raise ActionRefused("It is not stopped any more.")
    return f"{grant} resumed."


def resend_reveal(key: ApiKey, trace: SupportAction) -> str:
    """Mints nothing: the note on the owner's page is read from the trail."""
    key.refresh_from_db()
    if unavailable_reason := reveal_unavailable_reason(key):
        raise ActionRefused(unavailable_reason)
    return f"The owner of key {key} finds a note at {settings.FRONTEND_URL}/keys."


# --- Events ---------------------------------------------------------------------------------------


def replay_unavailable_reason(event: StripeEvent, trail: Trail) -> str:
    return "It is settled: replaying it would change nothing." if event.is_settled else ""


def replay(event: StripeEvent, trace: SupportAction) -> str:
    try:
        settled = log.process(event.event_id)
    except log.ProcessingFailed as failure:
        cause = failure.__cause__
        raise ActionRefused(
            redact(f"It failed again: {type(cause).__name__}: {cause}")[:500]
        ) from None
    return f"Event {settled.status}: {settled.outcome}"


def event_handled_unavailable_reason(event: StripeEvent, trail: Trail) -> str:
    if event.is_settled:
        return "It waits for nobody."
    return "It is marked already." if _is_handled(trail, event_id=event.event_id) else ""


def mark_handled(subject: Order | StripeEvent, trace: SupportAction) -> str:
    return f"{subject} marked as handled."


# --- Money ----------------------------------------------------------------------------------------


def order_handled_unavailable_reason(order: Order, trail: Trail) -> str:
    if not order.is_duplicate or order.refunded_at:
        return "It waits for nobody."
    return "It is marked already." if _is_handled(trail, order_id=order.pk) else ""


def refunded_or_requested(order: Order, trail: Trail) -> int:
    """What has gone back or was asked for and is not reported yet, in smallest units.

    Stripe's dashboard refunds too, so what the order's own columns say counts as well; a refund
    that failed at the bank is in neither.
    """
    reported = order.refunds.all()
    known = sum(refund.amount_cents for refund in reported if refund.status in COUNTED_REFUNDS)
    ids = {refund.stripe_refund_id for refund in reported}
    answers = _answers(order, trail)
    awaited = sum(
        action.amount_cents or 0
        for action in _refunds_in(trail, order)
        if action.succeeded is not False and answers.get(action.pk) not in ids
    )
    return max(order.refunded_cents, known + awaited)


def refundable(order: Order, trail: Trail) -> int:
    return max(order.amount_cents - refunded_or_requested(order, trail), 0)


def unanswered_refund(order: Order, trail: Trail) -> SupportAction | None:
    """A refund that was asked for while Stripe's answer never came: to be asked for again."""
    asked = _refunds_in(trail, order)
    return next((action for action in asked if action.succeeded is None), None)


def _refunds_in(trail: Trail, order: Order) -> list[SupportAction]:
    return [a for a in trail if a.kind == Kind.REFUND and a.order_id == order.pk]


def _answers(order: Order, trail: Trail) -> dict[int, str]:
    """Stripe's id of the refund that each entry led to, by the entry's own id.

    Where Stripe's answer was lost, its event tells as much: a refund of the same amount that was
    recorded since, and that no other entry asked for.
    """
    asked = _refunds_in(trail, order)
    answers = {action.pk: action.stripe_refund_id for action in asked if action.stripe_refund_id}
    for action in asked:
        if action.succeeded is None and action.pk not in answers:
            taken = set(answers.values())
            fits = (r for r in order.refunds.all() if _may_answer(r, action))
            found = (r.stripe_refund_id for r in fits if r.stripe_refund_id not in taken)
            if answer := min(found, default=""):
                answers[action.pk] = answer
    return answers


def _may_answer(refund: Refund, action: SupportAction) -> bool:
    return refund.amount_cents == action.amount_cents and refund.created_at >= action.created_at


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """`expected_refunded` is what had been asked back when the amount was chosen."""

    amount_cents: int
    expected_refunded: int


def reserve(order: Order, refund: RefundRequest) -> None:
    """Make sure, under the order's lock, that the amount is still there to be asked back.

    Raises ActionRefused. The entry in the trail, written in the same transaction, is the reservation.
    """
    order = Order.objects.locked().get(pk=order.pk)
    trail = trail_of(order)
    if refunded_or_requested(order, trail) != refund.expected_refunded:
        raise ActionRefused("Somebody asked for a refund meanwhile: look again.")
    if pending := unanswered_refund(order, trail):
        raise ActionRefused(_to_be_finished(order, pending))
    left = refundable(order, trail)
    if refund.amount_cents > left:
        raise ActionRefused(f"No more than {money.show(left, order.currency)} is left.")


def refund_unavailable_reason(order: Order, trail: Trail) -> str:
    if order.status != OrderStatus.COMPLETED or not order.stripe_payment_intent_id:
        return "No money was received for it."
    if pending := unanswered_refund(order, trail):
        return _too_late(order, pending, trail)
    return "" if refundable(order, trail) else "All of it was asked back already."


def check_resumption(order: Order, trace: SupportAction, refund: RefundRequest | None) -> None:
    """Make sure that asking for this refund once more pays it once, and is what the form says.

    Raises ActionRefused, which is no end of the entry: it stays unanswered, and its amount reserved.
    """
    if refund is None or refund.amount_cents != trace.amount_cents:
        raise ActionRefused(_to_be_finished(order, trace))
    order = Order.objects.get(pk=order.pk)
    if too_late := _too_late(order, trace, trail_of(order)):
        raise ActionRefused(too_late)


def resume_refund(order: Order, trace: SupportAction) -> str:
    """Finish a refund whose answer was lost: by what Stripe has told since, or by asking."""
    fresh = Order.objects.get(pk=order.pk)
    answer = _answers(fresh, trail_of(fresh)).get(trace.pk)
    if answer is None:
        return refund(order, trace)
    trace.stripe_refund_id = answer
    trace.save(update_fields=["stripe_refund_id"])
    shown = money.show(trace.amount_cents or 0, order.currency)
    return f"{shown} had been asked back from Stripe ({answer}). Nothing more was asked for."


def _to_be_finished(order: Order, pending: SupportAction) -> str:
    shown = money.show(pending.amount_cents or 0, order.currency)
    return (
        f"A refund of {shown} is without Stripe's answer. Open the form again and finish that one "
        "first, with its own amount."
    )


def _too_late(order: Order, pending: SupportAction, trail: Trail) -> str:
    """Why a refund without an answer cannot be asked for again, "" when it can."""
    in_time = timezone.now() - pending.created_at < RESUMABLE_FOR
    if in_time or pending.pk in _answers(order, trail):
        return ""
    shown = money.show(pending.amount_cents or 0, order.currency)
    return (
        f"A refund of {shown} had no answer on {pending.created_at:%Y-%m-%d %H:%M} UTC, too long "
        "ago to be asked for again: it might be paid twice. Look in Stripe's dashboard, and if the "
        "refund is not there, make it there."
    )


def refund(order: Order, trace: SupportAction) -> str:
    amount = trace.amount_cents or 0
    try:
        trace.stripe_refund_id = client.create_refund(
            order.stripe_payment_intent_id or "",
            amount=amount,
            idempotency_key=f"payflow-refund-{trace.token}",
        )
    except client.RefundRefused as reason:
        raise ActionRefused(f"Stripe refused: {reason}") from None
    except client.StripeFailed:
        raise OutcomeUnknown("Stripe did not answer as it should. Send the form again.") from None
    trace.save(update_fields=["stripe_refund_id"])
    shown = money.show(amount, order.currency)
    return f"{shown} asked back from Stripe ({trace.stripe_refund_id})."


def reconcile_unavailable_reason(conversation: Conversation, trail: Trail) -> str:
    return "" if conversation.stripe_session_id else "Nobody asked for a payment link yet."


def reconcile(subject: Order | Conversation, trace: SupportAction) -> str:
    """What `manage.py reconcile_orders` does, for this session."""
    try:
        state = checkout.reconcile(subject.stripe_session_id or "")
    except client.StripeFailed:
        raise ActionRefused("Stripe did not answer as it should. Nothing was changed.") from None
    return f"Reconciled: {state}."
