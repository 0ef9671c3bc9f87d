"""Refunds and disputes: one row for each of Stripe's objects."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class DisputeStatus(models.TextChoices):
    """The statuses of Stripe's API version 2026-10-28."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response", "inquiry, needs response"
    WARNING_UNDER_REVIEW = "warning_under_review", "inquiry, under review"
    WARNING_CLOSED = "warning_closed", "inquiry closed"
    NEEDS_RESPONSE = "needs_response", "needs response"
    UNDER_REVIEW = "under_review", "under review"
    APPEAL_NEEDS_RESPONSE = "appeal_needs_response", "appeal, needs response"
    APPEAL_UNDER_REVIEW = "appeal_under_review", "appeal, under review"
    PREVENTED = "prevented", "prevented"
    WON = "won", "won"
    LOST = "lost", "lost"


# An inquiry (warning_…) has moved no money. A dispute has withdrawn it until it is won.
OPEN_DISPUTE = (
    DisputeStatus.NEEDS_RESPONSE,
    DisputeStatus.UNDER_REVIEW,
    DisputeStatus.APPEAL_NEEDS_RESPONSE,
    DisputeStatus.APPEAL_UNDER_REVIEW,
)
# Evidence is due at Stripe, for an inquiry too.
TO_ANSWER = (
    DisputeStatus.WARNING_NEEDS_RESPONSE,
    DisputeStatus.NEEDS_RESPONSE,
    DisputeStatus.APPEAL_NEEDS_RESPONSE,
)


class Refund(models.Model):
    """One refund of an order, as Stripe last reported it."""

    order = models.ForeignKey("billing.Order", on_delete=models.CASCADE, related_name="refunds")
    stripe_refund_id = models.CharField(max_length=255, unique=True)
    amount_cents = models.BigIntegerField(help_text="In the currency's smallest unit.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=32)  # as Stripe sends it; a new one must not fail
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "refunds"

    def __str__(self) -> str:
        return self.stripe_refund_id


class Dispute(models.Model):
    """One dispute over an order, as Stripe last reported it."""

    order = models.ForeignKey("billing.Order", on_delete=models.CASCADE, related_name="disputes")
    stripe_dispute_id = models.CharField(max_length=255, unique=True)
    amount_cents = models.BigIntegerField(help_text="In the currency's smallest unit.")
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=64, blank=True, db_default="")
    status = models.CharField(max_length=32)  # as Stripe sends it; a new one must not fail
    # The event that reported it: Stripe's time and the event's row (reversals.EventPosition).
    last_event_at = models.DateTimeField(editable=False)
    last_event_id = models.BigIntegerField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "disputes"
        indexes = (
            models.Index(
                fields=["order"], name="disputes_to_answer", condition=Q(status__in=TO_ANSWER)
            ),
        )

    def __str__(self) -> str:
        return self.stripe_dispute_id
