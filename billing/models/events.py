"""The event log: every verified event, stored before it is handled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KT
from django.db.models.functions import Left, Lower, Now
from django.utils import timezone


class EventStatus(models.TextChoices):
    RECEIVED = "received", "received"  # stored, not handled yet
    PROCESSED = "processed", "processed"
    IGNORED = "ignored", "ignored"  # of a type we do not handle, or of another product
    UNMATCHED = "unmatched", "unmatched"  # ours, but its user, conversation or order is missing
    FAILED = "failed", "failed"  # its handler raised; it is retried


SETTLED = (EventStatus.PROCESSED, EventStatus.IGNORED)

# Retried after 15 s, 30 s, 1 min … at most 1 h: 12 attempts take about four hours.
MIN_PAUSE, MAX_PAUSE = timedelta(seconds=15), timedelta(hours=1)
MAX_ATTEMPTS = 12
MAX_ERROR_LENGTH = 2000

# A refund or dispute may arrive before its payment; Stripe retries deliveries for hours, not days.
IGNORE_UNMATCHED_AFTER = timedelta(days=1)

# What a customer holds of a payment, in the payloads of the events that have it: the session's, and
# the charge's, which is stored for this alone.
PAID_TYPES = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
CHARGE_TYPES = ("charge.succeeded", "charge.updated", "charge.refunded")
_OBJECT = "payload__data__object"
_MAX_HELD = 255  # an index refuses a row whose value is longer than 2.7 kB
HELD_OF_SESSION = {
    "email": Left(Lower(KT(f"{_OBJECT}__customer_details__email")), _MAX_HELD),
    "customer": Left(KT(f"{_OBJECT}__customer"), _MAX_HELD),
    "invoice": Left(KT(f"{_OBJECT}__invoice"), _MAX_HELD),
}
HELD_OF_CHARGE = {
    "last4": Left(KT(f"{_OBJECT}__payment_method_details__card__last4"), _MAX_HELD),
    "receipt_number": Left(KT(f"{_OBJECT}__receipt_number"), _MAX_HELD),
}

_HELD = ((PAID_TYPES, HELD_OF_SESSION), (CHARGE_TYPES, HELD_OF_CHARGE))

# Stripe retries a delivery within minutes: an event unsettled for longer needs attention.
STUCK_AFTER = timedelta(minutes=15)


class StripeEventQuerySet(models.QuerySet["StripeEvent"]):
    def unsettled(self) -> StripeEventQuerySet:
        return self.exclude(status__in=SETTLED)

    def stuck(self) -> StripeEventQuerySet:
        """Received or failed, and still not settled after STUCK_AFTER."""
        return self.filter(
            status__in=(EventStatus.RECEIVED, EventStatus.FAILED),
            created_at__lt=timezone.now() - STUCK_AFTER,
        )

    def of_payment(self, payment_intent_id: str) -> StripeEventQuerySet:
        return self.filter(payment_intent_id=payment_intent_id)

    def locked(self, *, skip_locked: bool = False) -> StripeEventQuerySet:
        """Lock the rows until the transaction ends; the first lock of the lock order.

        With `skip_locked` it never waits and leaves out rows that others have locked.
        """
        return self.select_for_update(no_key=True, skip_locked=skip_locked)


class StripeEvent(models.Model):
    """A verified event as received, which can be replayed at any time.

    Its payload changes once at most, if its person is erased: what a replay reads is kept.
    """

    event_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=128)
    livemode = models.BooleanField(db_default=False)
    api_version = models.CharField(max_length=64, blank=True, db_default="")
    payload = models.JSONField()
    status = models.CharField(max_length=16, choices=EventStatus, db_default=EventStatus.RECEIVED)
    attempts = models.PositiveIntegerField(db_default=0)
    last_error = models.TextField(blank=True, db_default="")
    # What handling it did: "order 7 completed", "Your card was declined. (generic_decline)".
    outcome = models.TextField(blank=True, db_default="")
    conversation = models.ForeignKey(
        "conversations.Conversation",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="stripe_events",
    )
    # Of data.object, for search.
    object_id = models.CharField(max_length=255, blank=True, db_default="", db_index=True)
    payment_intent_id = models.CharField(max_length=255, blank=True, db_default="", db_index=True)
    created_at = models.DateTimeField("received at", db_default=Now(), editable=False)
    settled_at = models.DateTimeField(null=True, blank=True)
    # When process_events retries a failed event; NULL if no retry is due.
    next_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    # It failed MAX_ATTEMPTS times; only Stripe's and staff's retries can still settle it.
    parked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Set for an event that fetch_events read from the API.
    fetched_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When personal data was removed from the payload.
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)
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
            # Unsettled events are a handful of rows among millions.
            models.Index(
                fields=["created_at"],
                name="stripe_events_unsettled",
                condition=~Q(status__in=SETTLED),
            ),
            # For staff: rare events, newest first. The usual event of a payment is in neither
            # index, so they cost the webhook nothing.
            models.Index(
                fields=["-id"],
                name="stripe_events_ignored",
                condition=Q(status=EventStatus.IGNORED),
            ),
            models.Index(
                fields=["type", "-id"],
                name="stripe_events_by_type",
                condition=~Q(type="checkout.session.completed"),
            ),
            # For the dashboard, which counts the declined cards of a week.
            models.Index(
                fields=["created_at"],
                name="stripe_events_declined",
                condition=Q(type="payment_intent.payment_failed"),
            ),
            # What a customer holds, for support.payment_search.
            *(
                models.Index(held, name=f"stripe_events_{name}", condition=Q(type__in=types))
                for types, values in _HELD
                for name, held in values.items()
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
        """The object the event is about: `data.object`."""
        found: dict[str, Any] = self.payload["data"]["object"]
        return found

    @property
    def is_of_connected_account(self) -> bool:
        """Whether another account wrote the object and its metadata."""
        return bool(self.payload.get("account"))

    @property
    def is_parked(self) -> bool:
        return self.parked_at is not None

    def mark_settled(self, status: EventStatus, outcome: str, conversation_id: int | None) -> None:
        """Record how it was handled, in the transaction that handles it.

        An `unmatched` event is recorded here as well and stays unsettled.
        """
        self.status = status
        self.outcome = outcome
        self.conversation_id = conversation_id
        self.attempts += 1
        self.last_error = ""
        self.settled_at = timezone.now() if self.is_settled else None
        self.next_attempt_at = self.parked_at = None
        self.save(update_fields=_SETTLED_FIELDS)

    def mark_failed(self, error: Exception) -> None:
        """Record that its handler raised and when to retry; park it after MAX_ATTEMPTS."""
        now = timezone.now()
        self.status = EventStatus.FAILED
        self.attempts += 1
        self.last_error = f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH]
        if self.attempts >= MAX_ATTEMPTS:
            self.parked_at = self.parked_at or now
            self.next_attempt_at = None
        else:
            pause: timedelta = MIN_PAUSE * 2 ** (self.attempts - 1)
            self.next_attempt_at = now + min(pause, MAX_PAUSE)
        self.save(update_fields=_FAILED_FIELDS)


_FAILED_FIELDS = ("status", "attempts", "last_error", "next_attempt_at", "parked_at", "updated_at")
_SETTLED_FIELDS = (*_FAILED_FIELDS, "outcome", "conversation", "settled_at")
