"""The event log: every verified event, stored before it is handled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class EventStatus(models.TextChoices):
    RECEIVED = "received", "received"  # stored, not yet acted on
    PROCESSED = "processed", "processed"
    IGNORED = "ignored", "ignored"  # of a type we do not handle, or of another product
    UNMATCHED = "unmatched", "unmatched"  # ours, but what it speaks of is not here
    FAILED = "failed", "failed"  # its handler raised; it is tried again


SETTLED = (EventStatus.PROCESSED, EventStatus.IGNORED)

# Tried again after 15 s, 30 s, 1 min … at most 1 h: 12 attempts are some four hours.
FIRST_PAUSE, MAX_PAUSE = timedelta(seconds=15), timedelta(hours=1)
MAX_ATTEMPTS = 12
ERROR_LENGTH = 2000

# A refund or dispute may come before its payment, but not by more than Stripe's hours of retries.
IGNORE_UNMATCHED_AFTER = timedelta(days=1)


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
        if self.attempts >= MAX_ATTEMPTS:
            self.parked_at = self.parked_at or now
            self.next_attempt_at = None
        else:
            pause: timedelta = FIRST_PAUSE * 2 ** (self.attempts - 1)
            self.next_attempt_at = now + min(pause, MAX_PAUSE)
        self.save(update_fields=_FAILURE)


_FAILURE = ("status", "attempts", "last_error", "next_attempt_at", "parked_at", "updated_at")
_SETTLEMENT = (*_FAILURE, "outcome", "conversation", "settled_at")
