"""The staff action that refunds an order, in full or in part.

Stripe may make a refund whose answer is lost. The row of the audit log then stays incomplete, its
amount counts as requested, and the same refund is sent again under the same idempotency key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone

from billing.models import Order, OrderStatus, Refund
from billing.reversals import COUNTED_REFUNDS
from billing.stripe import client
from notifications import money
from support import audit_log
from support.actions.base import ActionRefused, Actor, OutcomeUnknown, StaffAction
from support.actions.forms import ReasonForm
from support.models import SupportAction

# Stripe forgets an idempotency key after 24 hours, and would then refund a second time.
RESUMABLE_FOR = timedelta(hours=23)
PENDING_NOTE = "This refund was sent before, without an answer: the same one is sent again."


class RefundForm(ReasonForm):
    """`expected_refunded` is what the page showed: it reveals another refund made meanwhile."""

    expected_refunded = forms.IntegerField(widget=forms.HiddenInput)
    amount = forms.CharField(max_length=20)
    field_order = ("amount", "reason")

    def __init__(self, *args: Any, currency: str, help_text: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency
        self.fields["amount"].help_text = help_text
        self.fields["amount"].label = f"Amount in {currency.upper()}"

    def clean_amount(self) -> int:
        try:
            amount = money.parse(self.cleaned_data["amount"], self.currency)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        if amount < 1:
            raise forms.ValidationError("A refund must be more than zero.")
        return amount


class RefundOrder(StaffAction[Order]):
    kind = "refund"
    model = Order
    label = "Refund…"
    done_label = "refund requested"
    permission_label = "Can refund an order"
    explanation = (
        "Stripe refunds the money. The key and the conversation change when Stripe's event "
        "arrives, usually within seconds."
    )
    roles = ("finance",)
    limited_roles = ("refunds",)
    done_by = "finance can do this"
    recorded = ("status",)
    is_resumable = True

    def needs_reauthentication(self, given: Mapping[str, Any]) -> bool:
        amount: int = given.get("amount", self.refundable())
        return amount > int(settings.REAUTHENTICATE_ABOVE)

    def unavailable_reason(self) -> str:
        order = self.subject
        if order.status != OrderStatus.COMPLETED or not order.stripe_payment_intent_id:
            return "No money was received for it."
        if self.unanswered:
            return self._too_late(self.unanswered)
        return "" if self.refundable() else "All of it was refunded or requested already."

    def form(self, data: Mapping[str, Any] | None, initial: dict[str, Any]) -> ReasonForm:
        pending = self.unanswered
        amount = (pending.amount_cents or 0) if pending else self.refundable()
        initial = initial | {
            "amount": money.plain(amount, self.subject.currency),
            "expected_refunded": self.refunded_or_requested(),
        }
        if pending:
            initial |= {"token": pending.token, "reason": pending.reason}
        note = PENDING_NOTE if pending else ""
        return RefundForm(data, initial=initial, currency=self.subject.currency, help_text=note)

    def reserve(self, given: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Check under the order's lock that it is paid, and the amount left and allowed.

        The row of the audit log, written in the same transaction, is the reservation.
        """
        locked = _with_audit_log(Order.objects.locked().get(pk=self.subject.pk))
        if locked.refunded_or_requested() != given["expected_refunded"]:
            raise ActionRefused("Somebody requested a refund meanwhile: look again.")
        if locked.unanswered:
            raise ActionRefused(self._to_be_finished(locked.unanswered))
        if reason := locked.unavailable_reason():
            raise ActionRefused(reason)
        left = locked.refundable()
        if given["amount"] > left:
            raise ActionRefused(f"No more than {self._shown(left)} is left.")
        self._check_limit(actor, locked.refunded_or_requested() + given["amount"])
        return {"amount_cents": given["amount"]}

    def run(self, action: SupportAction) -> str:
        try:
            action.stripe_refund_id = client.create_refund(
                self.subject.stripe_payment_intent_id or "",
                amount=action.amount_cents or 0,
                idempotency_key=f"payflow-refund-{action.token}",
            )
        except client.RefundRefused as reason:
            raise ActionRefused(f"Stripe refused: {reason}") from None
        except client.StripeFailed:
            text = "Stripe did not give a usable answer. Send the form again."
            raise OutcomeUnknown(text) from None
        audit_log.save(action, ["stripe_refund_id"])
        amount = self._shown(action.amount_cents)
        return f"Refund of {amount} requested from Stripe ({action.stripe_refund_id})."

    def check_resumption(
        self, action: SupportAction, given: Mapping[str, Any], actor: Actor
    ) -> None:
        """A refusal here does not complete the row: its amount stays reserved."""
        self._check_limit(actor, self._fresh().refunded_or_requested())
        if given.get("amount") != action.amount_cents:
            raise ActionRefused(self._to_be_finished(action))
        if too_late := self._fresh()._too_late(action):
            raise ActionRefused(too_late)

    def resume(self, action: SupportAction) -> str:
        """Finish a refund whose answer was lost: by Stripe's events since, or by sending it."""
        answer = self._fresh()._answers.get(action.pk)
        if answer is None:
            return self.run(action)
        action.stripe_refund_id = answer
        audit_log.save(action, ["stripe_refund_id"])
        amount = self._shown(action.amount_cents)
        return f"Stripe had made the refund of {amount} ({answer}). No other was requested."

    def refunded_or_requested(self) -> int:
        """What was refunded, or requested and not yet reported, in smallest units.

        The order's own columns count too, since refunds are also made in Stripe's dashboard. A
        refund that failed at the bank counts nowhere.
        """
        reported = self.subject.refunds.all()
        known = sum(refund.amount_cents for refund in reported if refund.status in COUNTED_REFUNDS)
        ids = {refund.stripe_refund_id for refund in reported}
        awaited = sum(
            action.amount_cents or 0
            for action in self._requests
            if action.succeeded is not False and self._answers.get(action.pk) not in ids
        )
        return max(self.subject.refunded_cents, known + awaited)

    def refundable(self) -> int:
        return max(self.subject.amount_cents - self.refunded_or_requested(), 0)

    @property
    def unanswered(self) -> SupportAction | None:
        """The refund that was sent without an answer from Stripe, which is to be sent again."""
        return next((action for action in self._requests if action.succeeded is None), None)

    @cached_property
    def _requests(self) -> list[SupportAction]:
        own = (action for action in self.past if action.kind == self.kind)
        return [action for action in own if action.is_about(self.subject)]

    @cached_property
    def _answers(self) -> dict[int, str]:
        """Stripe's id of the refund that each request led to, by the request's own id.

        Where Stripe's answer was lost, its event supplies it: a refund of the same amount,
        recorded since, that no other request led to.
        """
        answers = {
            action.pk: action.stripe_refund_id
            for action in self._requests
            if action.stripe_refund_id
        }
        for action in self._requests:
            if action.succeeded is None and action.pk not in answers:
                matching = (r for r in self.subject.refunds.all() if _may_answer(r, action))
                ids = {refund.stripe_refund_id for refund in matching}
                if answer := min(ids - set(answers.values()), default=""):
                    answers[action.pk] = answer
        return answers

    def _check_limit(self, actor: Actor, refunded: int) -> None:
        """Refuse more than REFUND_LIMIT of one order, to whoever may refund no more."""
        limit = settings.REFUND_LIMIT
        if refunded > limit and not actor.has_perm(self.permission()):
            raise ActionRefused(f"You may refund up to {self._shown(limit)} of an order.")

    def _too_late(self, pending: SupportAction) -> str:
        """Why a refund without an answer can't be sent again, "" when it can."""
        in_time = timezone.now() - pending.created_at < RESUMABLE_FOR
        if in_time or pending.pk in self._answers:
            return ""
        return (
            f"A refund of {self._shown(pending.amount_cents)} got no answer on "
            f"{pending.created_at:%Y-%m-%d %H:%M} UTC. That is too long ago to send it again: it "
            "might be paid twice. Look in Stripe's dashboard, and if the refund is not there, make "
            "it there."
        )

    def _to_be_finished(self, pending: SupportAction) -> str:
        return (
            f"A refund of {self._shown(pending.amount_cents)} is without Stripe's answer. Open the "
            "form again and finish that one first, with its own amount."
        )

    def _shown(self, amount: int | None) -> str:
        return money.show(amount or 0, self.subject.currency)

    def _fresh(self) -> RefundOrder:
        return _with_audit_log(Order.objects.get(pk=self.subject.pk))


def _with_audit_log(order: Order) -> RefundOrder:
    return RefundOrder(order, list(SupportAction.objects.about(order)))


def _may_answer(refund: Refund, action: SupportAction) -> bool:
    return refund.amount_cents == action.amount_cents and refund.created_at >= action.created_at
