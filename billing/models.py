"""Orders: money received. The ledger: every verified event, stored before it is acted on."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class OrderStatus(models.TextChoices):
    PENDING = "pending", "pending"  # a delayed method: the money is on its way
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"


class OrderQuerySet(models.QuerySet["Order"]):
    def owned_by(self, user_id: int | None) -> OrderQuerySet:
        """The rows of this user; of nobody (an anonymous user has no id), none."""
        return self.filter(user_id=user_id) if user_id else self.none()

    def completed(self) -> OrderQuerySet:
        return self.filter(status=OrderStatus.COMPLETED)

    def locked(self) -> OrderQuerySet:
        """Lock the rows until the transaction ends: the third lock of the order (docs)."""
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
    # The conversation had been paid before: no second key was issued, and money is due back.
    is_duplicate = models.BooleanField("duplicate", db_default=False)
    api_key = models.OneToOneField(
        "apikeys.ApiKey",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="order",
        verbose_name="API key",
    )
    paid_at = models.DateTimeField(null=True, blank=True)
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
            # The key hangs on the order: what is not paid, or was paid twice, has none.
            models.CheckConstraint(
                condition=Q(api_key__isnull=True)
                | Q(status=OrderStatus.COMPLETED, is_duplicate=False),
                name="orders_key_only_when_paid_once",
            ),
        )
        indexes = (
            models.Index(fields=["user", "-id"], name="orders_of_user"),
            models.Index(fields=["conversation", "-id"], name="orders_of_conversation"),
        )

    def __str__(self) -> str:
        return f"Order {self.pk}"


class EventStatus(models.TextChoices):
    RECEIVED = "received", "received"  # stored, not yet acted on
    PROCESSED = "processed", "processed"
    IGNORED = "ignored", "ignored"  # of a type we do not handle, or of another product
    UNMATCHED = "unmatched", "unmatched"  # ours, but what it speaks of is not here
    FAILED = "failed", "failed"  # its handler raised; it is tried again


SETTLED = (EventStatus.PROCESSED, EventStatus.IGNORED)


class StripeEventQuerySet(models.QuerySet["StripeEvent"]):
    def unsettled(self) -> StripeEventQuerySet:
        return self.exclude(status__in=SETTLED)

    def locked(self) -> StripeEventQuerySet:
        """Lock the rows until the transaction ends: the first lock of the order (docs)."""
        return self.select_for_update(no_key=True)


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
        )

    def __str__(self) -> str:
        return f"{self.event_id} ({self.type})"

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED
