"""Payments that another system recorded, and whose keys were imported."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing.models.reversals import TO_ANSWER


class ImportedPayment(models.Model):
    """The payment of an imported grant: it has no order and no conversation here.

    `billing.imported` writes what refunds and disputes make of it.
    """

    stripe_payment_intent_id = models.CharField(max_length=255, unique=True)
    grant = models.OneToOneField(
        "apikeys.Grant", on_delete=models.PROTECT, related_name="imported_payment"
    )
    refunded_at = models.DateTimeField("fully refunded at", null=True)
    # Stripe's time of the event that set or cleared it.
    refund_event_at = models.DateTimeField(null=True)
    # The status of its most severe dispute, and each dispute's status, Stripe's time and event.
    dispute_status = models.CharField(max_length=32, blank=True, db_default="")
    disputes = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "imported_payments"
        indexes = (
            models.Index(
                fields=["dispute_status"],
                name="imported_payments_to_answer",
                condition=Q(dispute_status__in=TO_ANSWER),
            ),
        )

    def __str__(self) -> str:
        return self.stripe_payment_intent_id
