"""What staff can do, and the one way it is done: the trace first, then the deed, then its result.

Each action calls the service that the API or the webhook calls. No transaction is open around
it, because some of them ask Stripe.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from apikeys.models import ApiKey, Grant
from apikeys.secret_patterns import redact, redact_json
from billing.models import Order, StripeEvent
from conversations.models import Conversation
from support.actions import operations
from support.actions.operations import ActionRefused, OutcomeUnknown
from support.models import Kind, SupportAction

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that can be done to one kind of row."""

    kind: Kind
    model: type[Model]
    label: str
    explanation: str
    act: Callable[[Any, SupportAction], str]
    unavailable_reason: Callable[
        [Any, operations.Trail], str
    ]  # why it cannot be done now, "" when it can
    watched: tuple[str, ...]  # the columns whose change is written into the trail
    told_to_owner: bool = False
    takes_amount: bool = False

    @property
    def permission(self) -> str:
        return f"support.{self.kind.value}"


@dataclass(frozen=True, slots=True)
class Button:
    action: Action
    url: str
    unavailable_reason: str


def find(model: type[Model], kind: str) -> Action | None:
    return next((a for a in ACTIONS if a.model is model and a.kind == kind), None)


def buttons(request: HttpRequest, trail: operations.Trail, *subjects: Model | None) -> list[Button]:
    """What this user may do to these rows, also what is not possible just now.

    `trail` holds at least what was done to them before.
    """
    return [
        Button(
            action, _url(action, subject, request.path), action.unavailable_reason(subject, trail)
        )
        for subject in subjects
        if subject is not None
        for action in ACTIONS
        if isinstance(subject, action.model) and request.user.has_perm(action.permission)
    ]


def perform(
    action: Action,
    subject: Any,
    *,
    actor_id: int,
    reason: str,
    token: uuid.UUID,
    refund: operations.RefundRequest | None = None,
) -> SupportAction:
    """Do it and return its entry in the trail; a token that was used before does nothing more.

    Raises ActionRefused when it cannot be done, and OutcomeUnknown when Stripe's answer is not known: the
    same token may be sent again then.
    """
    facts = {"kind": action.kind, "actor_id": actor_id, "reason": reason, **_about(subject)}
    trace, is_new = _begin(subject, token, facts, refund)
    act = action.act
    if not is_new:
        if not _may_resume(action, trace, subject):
            return trace
        operations.check_resumption(subject, trace, refund)
        _note_resumption(trace, actor_id, reason)
        act = operations.resume_refund
    _carry_out(action, act, subject, trace)
    return trace


def _carry_out(
    action: Action, act: Callable[[Any, SupportAction], str], subject: Any, trace: SupportAction
) -> None:
    """Do it, and complete the trace whatever becomes of it."""
    before = _watched(action, subject)
    try:
        outcome = act(subject, trace)
    except OutcomeUnknown:
        raise  # unfinished it stays, and can be resumed
    except ActionRefused as refusal:
        _finish(trace, succeeded=False, outcome=str(refusal))
        raise
    except Exception as error:
        _finish(trace, succeeded=False, outcome=f"It failed: {type(error).__name__}.")
        raise
    subject.refresh_from_db(fields=action.watched)
    _finish(trace, succeeded=True, outcome=outcome, changes=_changes(before, action, subject))


def _begin(
    subject: Any, token: uuid.UUID, facts: dict[str, Any], refund: operations.RefundRequest | None
) -> tuple[SupportAction, bool]:
    """The token's entry in the trail, and whether it is new. Raises ActionRefused for a refund."""
    used = SupportAction.objects.filter(token=token).first()
    if used is not None:
        return used, False
    with transaction.atomic():
        if refund is not None:
            operations.reserve(subject, refund)
            facts["amount_cents"] = refund.amount_cents
        return SupportAction.objects.get_or_create(token=token, defaults=facts)


def _may_resume(action: Action, trace: SupportAction, subject: Any) -> bool:
    """Whether the same refund is to be asked for again: Stripe knows it by the token, once."""
    if trace.kind != action.kind or not _is_about(trace, subject):
        raise ActionRefused("This form was used for something else.")
    return action.takes_amount and trace.succeeded is None


def _note_resumption(trace: SupportAction, actor_id: int, reason: str) -> None:
    """Write down, before Stripe is asked again, who asks and why: it may be somebody else."""
    earlier = trace.changes.get("asked again by", ["", ""])[1]
    actor = get_user_model()._default_manager.get(pk=actor_id)
    now = f"{actor}: {reason}"
    trace.changes["asked again by"] = ["", f"{earlier}; {now}" if earlier else now]
    trace.save(update_fields=["changes"])


def _is_about(trace: SupportAction, subject: Any) -> bool:
    return all(getattr(trace, name) == value for name, value in _about(subject).items())


def _finish(
    trace: SupportAction, *, succeeded: bool, outcome: str, changes: dict[str, Any] | None = None
) -> None:
    trace.succeeded, trace.outcome = succeeded, redact(outcome)
    trace.changes = redact_json({**trace.changes, **(changes or {})})
    trace.finished_at = timezone.now()
    trace.save(update_fields=["succeeded", "outcome", "changes", "finished_at"])
    logger.info("%s by user %s: %s", trace.kind, trace.actor_id, trace.outcome)


def _about(subject: Any) -> dict[str, Any]:
    """The columns of the trail that say whom and what an action is about."""
    if isinstance(subject, Order):
        return {
            "order_id": subject.pk,
            "customer_id": subject.user_id,
            "conversation_id": subject.conversation_id,
        }
    if isinstance(subject, ApiKey):
        return {"api_key_id": subject.pk, "customer_id": subject.user_id}
    if isinstance(subject, Grant):
        return {"grant_id": subject.pk, "customer_id": subject.user_id}
    if isinstance(subject, Conversation):
        return {"conversation_id": subject.pk, "customer_id": subject.user_id}
    return {"event_id": subject.event_id, "conversation_id": subject.conversation_id}


def _watched(action: Action, subject: Any) -> dict[str, str]:
    return {name: str(getattr(subject, name)) for name in action.watched}


def _changes(before: dict[str, str], action: Action, subject: Any) -> dict[str, list[str]]:
    after = _watched(action, subject)
    return {name: [before[name], after[name]] for name in after if after[name] != before[name]}


def _url(action: Action, subject: Model, back: str) -> str:
    opts = action.model._meta
    route = f"admin:{opts.app_label}_{opts.model_name}_action"
    return f"{reverse(route, args=[subject.pk, action.kind.value])}?{urlencode({'next': back})}"


_KEY_COLUMNS = ("revoked_at", "revoked_reason", "suspended_at")
_GRANT_COLUMNS = ("stopped_at", "stopped_reason")
_EVENT_COLUMNS = ("status", "attempts", "outcome", "last_error", "settled_at")

ACTIONS: Sequence[Action] = (
    Action(
        kind=Kind.REFUND,
        model=Order,
        label="Refund…",
        explanation="Stripe pays the money back. What follows from it (the key, the conversation) "
        "happens when Stripe's event arrives, usually within seconds.",
        act=operations.refund,
        unavailable_reason=operations.refund_unavailable_reason,
        watched=("status",),
        takes_amount=True,
    ),
    Action(
        kind=Kind.RECONCILE,
        model=Order,
        label="Reconcile…",
        explanation="Asks Stripe how the Checkout Session stands and brings the order, its "
        "conversation and its key up to it. Does nothing when they agree.",
        act=operations.reconcile,
        unavailable_reason=operations.no_unavailable_reason,
        watched=("status", "grant_id", "is_duplicate", "paid_at"),
    ),
    Action(
        kind=Kind.MARK_HANDLED,
        model=Order,
        label="Mark as handled…",
        explanation="Takes the order off the list of duplicates to refund. Nothing else changes.",
        act=operations.mark_handled,
        unavailable_reason=operations.order_handled_unavailable_reason,
        watched=(),
    ),
    Action(
        kind=Kind.RECONCILE,
        model=Conversation,
        label="Reconcile…",
        explanation="Asks Stripe how the conversation's newest Checkout Session stands: a payment "
        "that Stripe has and we have not is recorded, with its key.",
        act=operations.reconcile,
        unavailable_reason=operations.reconcile_unavailable_reason,
        watched=("payment_status",),
    ),
    Action(
        kind=Kind.REPLAY_EVENT,
        model=StripeEvent,
        label="Replay…",
        explanation="Handles the stored event again, as if Stripe had sent it again.",
        act=operations.replay,
        unavailable_reason=operations.replay_unavailable_reason,
        watched=_EVENT_COLUMNS,
    ),
    Action(
        kind=Kind.MARK_HANDLED,
        model=StripeEvent,
        label="Mark as handled…",
        explanation="Takes the event off the list of what waits for somebody. It stays in the "
        "ledger as it is, and can still be replayed.",
        act=operations.mark_handled,
        unavailable_reason=operations.event_handled_unavailable_reason,
        watched=(),
    ),
    Action(
        kind=Kind.REVOKE_KEY,
        model=ApiKey,
        label="Revoke key…",
        explanation="Ends this key at once and for good, whatever becomes of its payment. Its "
        "owner sees that support revoked it, and the reason as you write it here, and can make "
        "another key: to prevent that, stop the grant.",
        act=operations.revoke_key,
        unavailable_reason=operations.revoke_unavailable_reason,
        watched=_KEY_COLUMNS,
        told_to_owner=True,
    ),
    Action(
        kind=Kind.SUSPEND_KEY,
        model=ApiKey,
        label="Suspend key…",
        explanation="Stops this key until somebody restores it, whatever becomes of its payment. "
        "Its owner can make another key: to prevent that, stop the grant.",
        act=operations.suspend_key,
        unavailable_reason=operations.suspend_unavailable_reason,
        watched=_KEY_COLUMNS,
    ),
    Action(
        kind=Kind.RESTORE_KEY,
        model=ApiKey,
        label="Restore key…",
        explanation="Lifts the suspension by staff. The key works again, unless its grant is "
        "suspended, stopped or revoked.",
        act=operations.restore_key,
        unavailable_reason=operations.restore_unavailable_reason,
        watched=_KEY_COLUMNS,
    ),
    Action(
        kind=Kind.STOP_GRANT,
        model=Grant,
        label="Stop grant…",
        explanation="Stops every key of this payment until somebody resumes the grant, and its "
        "owner can make no other. They see the reason as you write it here.",
        act=operations.stop_grant,
        unavailable_reason=operations.stop_unavailable_reason,
        watched=_GRANT_COLUMNS,
        told_to_owner=True,
    ),
    Action(
        kind=Kind.RESUME_GRANT,
        model=Grant,
        label="Resume grant…",
        explanation="Undoes a stop by staff: the keys work again, unless the payment is disputed "
        "or went back.",
        act=operations.resume_grant,
        unavailable_reason=operations.resume_unavailable_reason,
        watched=_GRANT_COLUMNS,
    ),
    Action(
        kind=Kind.RESEND_REVEAL,
        model=ApiKey,
        label="Ask to reveal…",
        explanation="Tells the owner on their page of keys that the key waits to be revealed. No "
        "key is made; one that was revealed before is never shown again.",
        act=operations.resend_reveal,
        unavailable_reason=operations.reveal_unavailable_reason,
        watched=("revealed_at",),
        told_to_owner=True,
    ),
)
