"""Orders: money received, and what of it went back. The ledger: every verified event.

An event is stored before it is acted on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class OrderStatus(models.TextChoices):
    PENDING = "pending", "pending"  # a delayed method: the money is on its way
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"


class DisputeStatus(models.TextChoices):
    """Stripe's own words (API version 2026-10-28)."""

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


# An inquiry is a question: no money has moved. A dispute has taken the money until it is won.
OPEN_DISPUTE = (
    DisputeStatus.NEEDS_RESPONSE,
    DisputeStatus.UNDER_REVIEW,
    DisputeStatus.APPEAL_NEEDS_RESPONSE,
    DisputeStatus.APPEAL_UNDER_REVIEW,
)


class OrderQuerySet(models.QuerySet["Order"]):
    def owned_by(self, user_id: int | None) -> OrderQuerySet:
        """The rows of this user; of nobody (an anonymous user has no id), none."""
        return self.filter(user_id=user_id) if user_id else self.none()

    def completed(self) -> OrderQuerySet:
        return self.filter(status=OrderStatus.COMPLETED)

    def good(self) -> OrderQuerySet:
        """Completed, and the money has not gone back: `Order.is_good` as a query."""
        return self.completed().filter(refunded_at=None).exclude(dispute_status=DisputeStatus.LOST)

    def with_issued_key(self) -> OrderQuerySet:
        """Annotate `issued_key_id`: `Grant.issued_key` as a query."""
        return self.annotate(issued_key_id=models.Min("grant__keys"))

    def locked(self) -> OrderQuerySet:
        """Lock the rows until the transaction ends. For the lock order see docs/architecture.md."""
        return self.select_for_update(no_key=True)


class Order(models.Model):
    """One Checkout Session that was paid, is being paid, or failed to be."""

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
    # The conversation is paid by another order: money is due back.
    is_duplicate = models.BooleanField("duplicate", db_default=False)
    # NULL: not paid, or a duplicate that never was the payment that stands.
    grant = models.ForeignKey(
        "apikeys.Grant", on_delete=models.PROTECT, null=True, blank=True, related_name="orders"
    )
    paid_at = models.DateTimeField(null=True, blank=True)
    refunded_cents = models.BigIntegerField(db_default=0, help_text="What has gone back so far.")
    # The highest `amount_refunded` that the charge itself was seen with: see billing.returns.
    charge_refunded_cents = models.BigIntegerField(db_default=0, editable=False)
    refunded_at = models.DateTimeField("fully refunded at", null=True, blank=True)
    # The gravest of its disputes; empty: none.
    dispute_status = models.CharField(max_length=32, blank=True, db_default="")
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
            # For staff: the exceptions among the completed, newest first, and the days' sums.
            models.Index(
                fields=["status", "-id"],
                name="orders_not_completed",
                condition=~Q(status=OrderStatus.COMPLETED),
            ),
            models.Index(fields=["-id"], name="orders_duplicate", condition=Q(is_duplicate=True)),
            models.Index(fields=["-id"], name="orders_refunded", condition=Q(refunded_cents__gt=0)),
            models.Index(fields=["-id"], name="orders_disputed", condition=~Q(dispute_status="")),
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
        """Completed, and the money has not gone back."""
        gone = self.refunded_at is not None or self.dispute_status == DisputeStatus.LOST
        return self.status == OrderStatus.COMPLETED and not gone

    @property
    def is_disputed(self) -> bool:
        """The money of a dispute is away, and nobody knows yet whether it comes back."""
        return self.dispute_status in OPEN_DISPUTE


class Refund(models.Model):
    """One refund of an order, as Stripe last told of it."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="refunds")
    stripe_refund_id = models.CharField(max_length=255, unique=True)
    amount_cents = models.BigIntegerField(help_text="In the currency's smallest unit.")
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=32)  # Stripe's words; a new one must not be an error
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "refunds"

    def __str__(self) -> str:
        return self.stripe_refund_id


class Dispute(models.Model):
    """One dispute over an order, as Stripe last told of it."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="disputes")
    stripe_dispute_id = models.CharField(max_length=255, unique=True)
    amount_cents = models.BigIntegerField(help_text="In the currency's smallest unit.")
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=64, blank=True, db_default="")
    status = models.CharField(max_length=32)  # Stripe's words; a new one must not be an error
    # Which event said so, by Stripe's clock and by its place in the ledger: see billing.returns.
    told_at = models.DateTimeField(editable=False)
    told_by = models.BigIntegerField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    class Meta:
        db_table = "disputes"

    def __str__(self) -> str:
        return self.stripe_dispute_id


class EventStatus(models.TextChoices):
    RECEIVED = "received", "received"  # stored, not yet acted on
    PROCESSED = "processed", "processed"
    IGNORED = "ignored", "ignored"  # of a type we do not handle, or of another product
    UNMATCHED = "unmatched", "unmatched"  # ours, but what it speaks of is not here
    FAILED = "failed", "failed"  # its handler raised; it is tried again


SETTLED = (EventStatus.PROCESSED, EventStatus.IGNORED)

# Tried again after 15 s, 30 s, 1 min … at most 1 h: 12 attempts are some four hours.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
MOST_ATTEMPTS = 12
ERROR_LENGTH = 2000

# A refund or dispute may come before its payment, but not by more than Stripe's hours of retries.
FOREIGN_AFTER = timedelta(days=1)


class StripeEventQuerySet(models.QuerySet["StripeEvent"]):
    def unsettled(self) -> StripeEventQuerySet:
        return self.exclude(status__in=SETTLED)

    def stuck(self, *, for_longer_than: timedelta) -> StripeEventQuerySet:
        """Neither settled nor waiting for anything but another attempt."""
        return self.filter(
            status__in=(EventStatus.RECEIVED, EventStatus.FAILED),
            created_at__lt=timezone.now() - for_longer_than,
        )

    def of_payment(self, payment_intent_id: str) -> StripeEventQuerySet:
        return self.filter(payment_intent_id=payment_intent_id)

    def locked(self, *, skip_locked: bool = False) -> StripeEventQuerySet:
        """Lock the rows until the transaction ends: the first lock of the order (docs).

        `skip_locked` leaves out what others are working on, and never waits.
        """
        return self.select_for_update(no_key=True, skip_locked=skip_locked)


class StripeEvent(models.Model):
    """A verified event as it came. The payload is never changed and can be replayed at any time."""

    event_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=128)
    livemode = models.BooleanField(db_default=False)
    api_version = models.CharField(max_length=64, blank=True, db_default="")
    payload = models.JSONField()
    status = models.CharField(max_length=16, choices=EventStatus, db_default=EventStatus.RECEIVED)
    attempts = models.PositiveIntegerField(db_default=0)
    last_error = models.TextField(blank=True, db_default="")
    # What it did, in words: "order 7 completed", "Your card was declined. (generic_decline)".
    outcome = models.TextField(blank=True, db_default="")
    conversation = models.ForeignKey(
        "conversations.Conversation",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="stripe_events",
    )
    # Of data.object: how support finds an event by what it is about.
    object_id = models.CharField(max_length=255, blank=True, db_default="", db_index=True)
    payment_intent_id = models.CharField(max_length=255, blank=True, db_default="", db_index=True)
    created_at = models.DateTimeField("received at", db_default=Now(), editable=False)
    settled_at = models.DateTimeField(null=True, blank=True)
    # When a failed event is tried again by us; NULL where that is not due.
    next_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    # It failed too often: a person must look. Stripe's and staff's own retries still count.
    parked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Stripe could not deliver it, we went and got it.
    fetched_at = models.DateTimeField(null=True, blank=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = StripeEventQuerySet.as_manager()

    class Meta:
        db_table = "stripe_events"
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=EventStatus.values), name="stripe_events_status_known"
            ),
        )
        indexes = (
            # What still needs doing is a handful of rows among millions.
            models.Index(
                fields=["created_at"],
                name="stripe_events_unsettled",
                condition=~Q(status__in=SETTLED),
            ),
            # For staff: what is rare, newest first. The usual event of a payment is in neither, so
            # that a webhook pays nothing for them.
            models.Index(
                fields=["-id"],
                name="stripe_events_ignored",
                condition=Q(status=EventStatus.IGNORED),
            ),
            models.Index(
                fields=["type", "-id"],
                include=["created_at"],
                name="stripe_events_by_type",
                condition=~Q(type="checkout.session.completed"),
            ),
            # Where the last fetch stopped.
            models.Index(
                fields=["fetched_at", "id"],
                name="stripe_events_fetched",
                condition=Q(fetched_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.event_id} ({self.type})"

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED

    @property
    def stripe_object(self) -> dict[str, Any]:
        """What the event is about: its `data.object`."""
        found: dict[str, Any] = self.payload["data"]["object"]
        return found

    @property
    def is_parked(self) -> bool:
        return self.parked_at is not None

    def settle(self, status: EventStatus, text: str, conversation_id: int | None) -> None:
        """Record what was done about it, in the transaction that does it."""
        self.status = status
        self.outcome = text
        self.conversation_id = conversation_id
        self.attempts += 1
        self.last_error = ""
        self.settled_at = timezone.now() if self.is_settled else None
        self.next_attempt_at = self.parked_at = None
        self.save(update_fields=_SETTLEMENT)

    def fail(self, error: Exception) -> None:
        """Record that its handler raised, and when to try again; too often, and it is parked."""
        now = timezone.now()
        self.status = EventStatus.FAILED
        self.attempts += 1
        self.last_error = f"{type(error).__name__}: {error}"[:ERROR_LENGTH]
        if self.attempts >= MOST_ATTEMPTS:
            self.parked_at = self.parked_at or now
            self.next_attempt_at = None
        else:
            pause: timedelta = FIRST_PAUSE * 2 ** (self.attempts - 1)
            self.next_attempt_at = now + min(pause, LONGEST_PAUSE)
        self.save(update_fields=_FAILURE)


_FAILURE = ("status", "attempts", "last_error", "next_attempt_at", "parked_at", "updated_at")
_SETTLEMENT = (*_FAILURE, "outcome", "conversation", "settled_at")
