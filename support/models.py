"""The audit log: which of the staff did what to whom, why, and what it changed."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Model, Q
from django.db.models.functions import Now

from billing.models import StripeEvent

MAX_REASON_LENGTH = 200  # as long as the reason that a key's owner reads
ERASED = "[erased]"  # in place of a text about an erased person
# Kinds that queries and pages name.
MARK_HANDLED, EXPORT, ADD_ENDPOINT = "mark_handled", "export", "add_endpoint"


class SupportActionQuerySet(models.QuerySet["SupportAction"]):
    def done(self) -> SupportActionQuerySet:
        return self.filter(succeeded=True)

    def marking_handled(self) -> SupportActionQuerySet:
        return self.filter(kind=MARK_HANDLED)

    def about(self, subject: Model, *others: Model) -> SupportActionQuerySet:
        """The actions on any of these rows, oldest first, with their actors."""
        condition = Q(**row_column(subject))
        for other in others:
            condition |= Q(**row_column(other))
        return self.filter(condition).select_related("actor").order_by("pk")


class SupportAction(models.Model):
    """Written before a staff action runs and completed after it.

    A row that was never completed (`succeeded` is NULL) means that the server or Stripe stopped in
    between: the outcome is unknown. A pruned event keeps its id here.
    """

    # Identifies one filled-in form: sent twice, it acts once, at Stripe too.
    token = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    # The `kind` of a class in support.actions, or EXPORT. Not limited to those in the database:
    # a row outlives the class that wrote it.
    kind = models.CharField(max_length=32)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=MAX_REASON_LENGTH)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="support_actions",
    )
    conversation = models.ForeignKey(
        "conversations.Conversation", on_delete=models.PROTECT, null=True, related_name="+"
    )
    order = models.ForeignKey(
        "billing.Order", on_delete=models.PROTECT, null=True, related_name="support_actions"
    )
    api_key = models.ForeignKey(
        "apikeys.ApiKey", on_delete=models.PROTECT, null=True, related_name="support_actions"
    )
    grant = models.ForeignKey(
        "apikeys.Grant", on_delete=models.PROTECT, null=True, related_name="support_actions"
    )
    checkout = models.ForeignKey(
        "billing.CheckoutSettings", on_delete=models.PROTECT, null=True, related_name="+"
    )
    service_token = models.ForeignKey(
        "accounts.ServiceToken", on_delete=models.PROTECT, null=True, related_name="+"
    )
    notification = models.ForeignKey(
        "notifications.Notification", on_delete=models.PROTECT, null=True, related_name="+"
    )
    endpoint = models.ForeignKey(
        "notifications.Endpoint", on_delete=models.PROTECT, null=True, related_name="+"
    )
    event_id = models.CharField(max_length=255, blank=True, db_default="", db_index=True)
    # Of a refund, in the smallest unit of the order's currency.
    amount_cents = models.BigIntegerField(null=True)
    stripe_refund_id = models.CharField(max_length=255, blank=True, db_default="")
    succeeded = models.BooleanField(null=True)
    outcome = models.TextField(blank=True, db_default="")
    # {"status": ["failed", "processed"]}: the values before and after.
    changes = models.JSONField(default=dict)
    created_at = models.DateTimeField("at", db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    objects = SupportActionQuerySet.as_manager()

    class Meta:
        db_table = "support_actions"
        verbose_name = "action"
        verbose_name_plural = "audit log"
        # The permission for each staff action comes from its class: see support.roles.
        default_permissions = ("view",)
        constraints = (
            models.CheckConstraint(condition=~Q(reason=""), name="support_actions_have_a_reason"),
        )

    def __str__(self) -> str:
        return f"{self.kind}, {self.created_at:%Y-%m-%d %H:%M} UTC"

    @property
    def result(self) -> str:
        return {True: "done", False: "refused", None: "unknown"}[self.succeeded]

    def is_about(self, subject: Model) -> bool:
        return all(getattr(self, name) == value for name, value in row_column(subject).items())


class AuditDigest(models.Model):
    """One write to the audit log: see support.audit_log, which alone writes it."""

    position = models.BigIntegerField(primary_key=True)  # 1, 2, 3 …
    action = models.ForeignKey(SupportAction, on_delete=models.PROTECT, related_name="digests")
    # Empty when the action's texts were erased.
    salt = models.CharField(max_length=64, blank=True)
    text_digest = models.CharField(max_length=64)
    row_digest = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)

    class Meta:
        db_table = "audit_digests"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.position}:{self.digest}"


# The foreign key that names a row of each model; events are named by their id at Stripe.
_FOREIGN_KEYS = {
    "Order": "order_id",
    "ApiKey": "api_key_id",
    "Grant": "grant_id",
    "Conversation": "conversation_id",
    "CheckoutSettings": "checkout_id",
    "ServiceToken": "service_token_id",
    "Notification": "notification_id",
    "Endpoint": "endpoint_id",
}


def row_column(subject: Model) -> dict[str, Any]:
    """The column that names this row, with its value."""
    if isinstance(subject, StripeEvent):
        return {"event_id": subject.event_id}
    return {_FOREIGN_KEYS[type(subject).__name__]: subject.pk}


def about_columns(subject: Model) -> dict[str, Any]:
    """The columns that name this row, its customer and its conversation."""
    return {
        "customer_id": getattr(subject, "user_id", None),
        "conversation_id": getattr(subject, "conversation_id", None),
        **row_column(subject),
    }
