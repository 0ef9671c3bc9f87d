"""The outbox: one row for each thing that a user or another system is told."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class MailStatus(models.TextChoices):
    NONE = "none", "no mail"
    WAITING = "waiting", "waiting"
    SENT = "sent", "sent"
    BOUNCED = "bounced", "bounced"  # the recipient's server refused it for good
    FAILED = "failed", "failed"  # not accepted within a week
    SKIPPED = "skipped", "not needed"  # no longer true when it was due, or its user was erased


UNDELIVERED = (MailStatus.BOUNCED, MailStatus.FAILED)


class NotificationQuerySet(models.QuerySet["Notification"]):
    def owned_by(self, user_id: int | None) -> NotificationQuerySet:
        return self.filter(user_id=user_id) if user_id else self.none()

    def waiting(self) -> NotificationQuerySet:
        return self.filter(mail_status=MailStatus.WAITING)

    def undelivered(self) -> NotificationQuerySet:
        return self.filter(mail_status__in=UNDELIVERED)

    def locked(self, *, skip_locked: bool = False) -> NotificationQuerySet:
        return self.select_for_update(no_key=True, skip_locked=skip_locked)


class Notification(models.Model):
    """Written in the transaction that causes it, and kept: a replay finds it and tells nothing.

    The recipient's address, name and language are read when the mail is sent.
    """

    kind = models.CharField(max_length=64)
    # What made it, by names that a rebuild from the event log does not change where there are
    # such: of Stripe's objects and events. Unique with the kind.
    cause = models.CharField(max_length=512)
    # Without constraint: the payment's transaction does not look the user up once more.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )
    conversation_id = models.BigIntegerField(null=True, blank=True)
    # Ids, amounts, and what staff wrote for the owner. No names, addresses, secrets or hashes.
    data = models.JSONField(db_default={}, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    # Whether other systems are told, and the place in the order in which they are: numbered after
    # the commit, see notifications.events.
    is_event = models.BooleanField(db_default=False, editable=False)
    position = models.BigIntegerField(null=True, blank=True, unique=True, editable=False)

    mail_status = models.CharField(
        max_length=16, choices=MailStatus, db_default=MailStatus.NONE, editable=False
    )
    # When it is sent or tried again; while it is being sent, when its lease ends.
    mail_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    mail_attempts = models.PositiveIntegerField(db_default=0, editable=False)
    mail_resends = models.PositiveSmallIntegerField(db_default=0, editable=False)
    mail_error = models.TextField(blank=True, db_default="", editable=False)
    mailed_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        db_table = "outbox"
        verbose_name_plural = "outbox"
        constraints = (
            models.UniqueConstraint(fields=["cause", "kind"], name="outbox_once_per_cause"),
            models.CheckConstraint(
                condition=Q(mail_status__in=MailStatus.values), name="outbox_mail_status_known"
            ),
            models.CheckConstraint(
                condition=Q(mail_due_at__isnull=False) | ~Q(mail_status=MailStatus.WAITING),
                name="outbox_waiting_mail_is_due",
            ),
        )
        indexes = (
            models.Index(
                fields=["id"],
                name="outbox_events_unnumbered",
                condition=Q(is_event=True, position__isnull=True),
            ),
            models.Index(
                fields=["mail_due_at"],
                name="outbox_mail_waiting",
                condition=Q(mail_status=MailStatus.WAITING),
            ),
            models.Index(
                fields=["-id"],
                name="outbox_mail_undelivered",
                condition=Q(mail_status__in=UNDELIVERED),
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def public_id(self) -> str:
        """The same for the same cause, also after a rebuild: of the event, and in Message-ID."""
        digest = hashlib.sha256(f"{self.kind}\n{self.cause}".encode()).hexdigest()
        return f"msg_{digest[:32]}"


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def enabled(self) -> EndpointQuerySet:
        return self.filter(disabled_at=None)

    def locked(self) -> EndpointQuerySet:
        return self.select_for_update(no_key=True)


class Endpoint(models.Model):
    """Where another system of the operator's gets events. Written by notifications.endpoints."""

    url = models.CharField(max_length=500)
    # Encrypted. The previous one signs too until its time is over.
    secret = models.TextField(editable=False)
    previous_secret = models.TextField(blank=True, db_default="", editable=False)
    previous_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Since its first failure without a success; NULL while it works.
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=200, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        db_table = "webhook_endpoints"
        verbose_name = "webhook endpoint"

    def __str__(self) -> str:
        return self.url

    @property
    def state(self) -> str:
        if self.disabled_at:
            return "disabled"
        return "failing" if self.failing_since else "active"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def waiting(self) -> DeliveryQuerySet:
        return self.filter(due_at__isnull=False)

    def locked(self, *, skip_locked: bool = False) -> DeliveryQuerySet:
        return self.select_for_update(no_key=True, skip_locked=skip_locked, of=("self",))


class Delivery(models.Model):
    """One event for one endpoint: delivered, waiting, or given up when neither time is set."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries")
    notification = models.ForeignKey(
        Notification, on_delete=models.CASCADE, related_name="deliveries"
    )
    # When it is sent or tried again; while it is being sent, when its lease ends.
    due_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(db_default=0)
    # Of the last attempt; NULL without an answer.
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.CharField(max_length=200, blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        db_table = "webhook_deliveries"
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        constraints = (
            models.UniqueConstraint(
                fields=["notification", "endpoint"], name="webhook_deliveries_once"
            ),
        )
        indexes = (
            models.Index(
                fields=["endpoint", "due_at"],
                name="webhook_deliveries_waiting",
                condition=Q(due_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"Delivery {self.pk}"
