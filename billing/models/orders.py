"""Orders: one for each Checkout Session with a completed, pending or failed payment."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from billing.models.reversals import OPEN_DISPUTE, DisputeStatus
from restapi import prepared_sql

_COMPLETED_ORDER = "SELECT 1 FROM orders WHERE user_id = %s AND status = 'completed' LIMIT 1"


class OrderStatus(models.TextChoices):
    PENDING = "pending", "pending"  # a delayed payment method: not confirmed yet
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"


class OrderState(models.TextChoices):
    """The status together with duplicates, refunds and disputes: see Order.state."""

    PENDING = "pending", "pending"
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"
    DUPLICATE = "duplicate", "duplicate"
    PARTLY_REFUNDED = "partly_refunded", "partly refunded"
    REFUNDED = "refunded", "refunded"
    LOST = "lost", "lost in dispute"
    DISPUTED = "disputed", "disputed"


class SessionState(models.TextChoices):
    """What a payment page's customer waits for: see billing.api."""

    OPEN = "open", "open"
    PENDING = "pending", "pending"
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"
    EXPIRED = "expired", "expired"


class OrderQuerySet(models.QuerySet["Order"]):
    def owned_by(self, user_id: int | None) -> OrderQuerySet:
        """The rows of this user; none for an anonymous user, who has no id."""
        return self.filter(user_id=user_id) if user_id else self.none()

    def completed(self) -> OrderQuerySet:
        return self.filter(status=OrderStatus.COMPLETED)

    def has_paid(self, user_id: int | None) -> bool:
        """Whether this user has, or once had, a completed payment."""
        return bool(prepared_sql.fetch(_COMPLETED_ORDER, [user_id]))

    def good(self) -> OrderQuerySet:
        """Completed, not refunded and not lost in a dispute: `Order.is_good` as a query."""
        return self.completed().filter(refunded_at=None).exclude(dispute_status=DisputeStatus.LOST)

    def locked(self) -> OrderQuerySet:
        """Lock the rows until the transaction ends. For the lock order see docs/architecture.md."""
        return self.select_for_update(no_key=True)


class Order(models.Model):
    """The order of one Checkout Session with a completed, pending or failed payment."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders"
    )
    conversation = models.ForeignKey(
        "conversations.Conversation", on_delete=models.PROTECT, related_name="orders"
    )
    stripe_session_id = models.CharField(max_length=255, unique=True)
    # NULL when there was nothing to pay.
    stripe_payment_intent_id = models.CharField(  # noqa: DJ001
        max_length=255, null=True, blank=True, db_index=True
    )
    amount_cents = models.BigIntegerField(help_text="In the currency's smallest unit.")
    currency = models.CharField(max_length=3, db_default="usd")
    status = models.CharField(max_length=16, choices=OrderStatus, db_default=OrderStatus.PENDING)
    tier = models.CharField(max_length=64, db_default="premium")
    livemode = models.BooleanField(db_default=False)
    # Another order pays for the conversation: this one is to be refunded.
    is_duplicate = models.BooleanField("duplicate", db_default=False)
    # This server made no such session, or asked for another amount: staff look at it.
    needs_review = models.BooleanField(db_default=False)
    # NULL: not paid, or a duplicate that never paid for its conversation.
    grant = models.ForeignKey(
        "apikeys.Grant", on_delete=models.PROTECT, null=True, blank=True, related_name="orders"
    )
    paid_at = models.DateTimeField(null=True, blank=True)
    refunded_cents = models.BigIntegerField(db_default=0, help_text="Refunded so far.")
    # The highest `amount_refunded` seen on the charge itself: see billing.reversals.
    charge_refunded_cents = models.BigIntegerField(db_default=0, editable=False)
    refunded_at = models.DateTimeField("fully refunded at", null=True, blank=True)
    # The status of its most severe dispute; empty without one.
    dispute_status = models.CharField(max_length=32, blank=True, db_default="")
    # When the card's issuer first warned that the payment was fraudulent, by Stripe's clock.
    fraud_warning_at = models.DateTimeField(null=True, blank=True)
    # Stripe's page, with the customer's data; empty until an event tells it: see billing.receipts.
    receipt_url = models.TextField(blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = OrderQuerySet.as_manager()

    class Meta:
        db_table = "orders"
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=OrderStatus.values), name="orders_status_known"
            ),
            models.CheckConstraint(
                condition=Q(amount_cents__gte=0), name="orders_amount_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(grant__isnull=True) | Q(status=OrderStatus.COMPLETED),
                name="orders_grant_only_when_paid",
            ),
        )
        indexes = (
            models.Index(fields=["user", "-id"], name="orders_of_user"),
            models.Index(fields=["conversation", "-id"], name="orders_of_conversation"),
            # For staff: the exceptions, newest first, and the sums by day.
            models.Index(
                fields=["status", "-id"],
                name="orders_not_completed",
                condition=~Q(status=OrderStatus.COMPLETED),
            ),
            models.Index(fields=["-id"], name="orders_duplicate", condition=Q(is_duplicate=True)),
            models.Index(
                fields=["-id"], name="orders_needs_review", condition=Q(needs_review=True)
            ),
            models.Index(fields=["-id"], name="orders_refunded", condition=Q(refunded_cents__gt=0)),
            models.Index(fields=["-id"], name="orders_disputed", condition=~Q(dispute_status="")),
            models.Index(
                fields=["-id"],
                name="orders_with_fraud_warning",
                condition=Q(fraud_warning_at__isnull=False),
            ),
            models.Index(
                fields=["created_at"],
                include=[
                    "status",
                    "is_duplicate",
                    "currency",
                    "amount_cents",
                    "refunded_cents",
                    "refunded_at",
                ],
                name="orders_by_day",
            ),
        )

    def __str__(self) -> str:
        return f"Order {self.pk}"

    @property
    def is_good(self) -> bool:
        """Completed, not refunded and not lost in a dispute."""
        reversed_ = self.refunded_at is not None or self.dispute_status == DisputeStatus.LOST
        return self.status == OrderStatus.COMPLETED and not reversed_

    @property
    def is_disputed(self) -> bool:
        """True while a dispute that has taken the money is undecided."""
        return self.dispute_status in OPEN_DISPUTE

    @property
    def state(self) -> OrderState:
        """What to call the order in one word or two, the most severe first."""
        if self.is_disputed:
            return OrderState.DISPUTED
        if self.dispute_status == DisputeStatus.LOST:
            return OrderState.LOST
        if self.refunded_at:
            return OrderState.REFUNDED
        if self.refunded_cents:
            return OrderState.PARTLY_REFUNDED
        return OrderState.DUPLICATE if self.is_duplicate else OrderState(self.status)

    def mark_pending(self) -> None:
        """A delayed payment method was used: Stripe will report the result."""
        self.status = OrderStatus.PENDING
        self.save()

    def fail(self) -> None:
        """The payment failed for good."""
        self.status = OrderStatus.FAILED
        self.save()

    def complete(self, *, grant_id: int | None, needs_review: bool) -> None:
        """It is paid. Without a grant it is a duplicate: another order pays the conversation."""
        self.status = OrderStatus.COMPLETED
        self.needs_review = needs_review
        self.paid_at = timezone.now()
        self.grant_id = grant_id
        self.is_duplicate = grant_id is None
        self.save()

    def promote(self, *, grant_id: int) -> None:
        """A duplicate becomes the order that pays for its conversation."""
        self.is_duplicate = False
        self.grant_id = grant_id
        self.save()
