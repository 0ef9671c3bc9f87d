"""The trail: who of the staff did what to whom, why, and what it changed."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

REASON_LENGTH = 200  # as long as the reason that a key's owner reads


class Kind(models.TextChoices):
    """What staff can do. Each value is also the name of the permission to do it."""

    REVOKE_KEY = "revoke_key", "key revoked"
    SUSPEND_KEY = "suspend_key", "key suspended"
    RESTORE_KEY = "restore_key", "key restored"
    STOP_GRANT = "stop_grant", "grant stopped"
    RESUME_GRANT = "resume_grant", "grant resumed"
    RESEND_REVEAL = "resend_reveal", "owner asked to reveal the key"
    REFUND = "refund", "refund asked for"
    REPLAY_EVENT = "replay_event", "event replayed"
    RECONCILE = "reconcile", "reconciled with Stripe"
    MARK_HANDLED = "mark_handled", "marked as handled"
    EXPORT = "export", "list exported"


class SupportActionQuerySet(models.QuerySet["SupportAction"]):
    def done(self) -> SupportActionQuerySet:
        return self.filter(succeeded=True)

    def handled(self) -> SupportActionQuerySet:
        return self.filter(kind=Kind.MARK_HANDLED)

    def not_failed(self) -> SupportActionQuerySet:
        """Done, or begun and of unknown end: what must be assumed to have happened."""
        return self.exclude(succeeded=False)


class SupportAction(models.Model):
    """Written before the deed and completed after it, so that nothing is done without a trace.

    A row that was never completed (`succeeded` is NULL) says that the server or Stripe went away
    in the middle. The rows outlive what they speak of: an event that is pruned keeps its id here.
    """

    # Names one filled-in form: sent twice, it acts once, at Stripe too.
    token = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=32, choices=Kind)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=REASON_LENGTH)
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
    event_id = models.CharField(max_length=255, blank=True, db_default="", db_index=True)
    # Of a refund, in the smallest unit of the order's currency.
    amount_cents = models.BigIntegerField(null=True)
    stripe_refund_id = models.CharField(max_length=255, blank=True, db_default="")
    succeeded = models.BooleanField(null=True)
    outcome = models.TextField(blank=True, db_default="")
    # {"status": ["failed", "processed"]}: what it was, what it became.
    changes = models.JSONField(default=dict)
    created_at = models.DateTimeField("at", db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    objects = SupportActionQuerySet.as_manager()

    class Meta:
        db_table = "support_actions"
        verbose_name = "action"
        verbose_name_plural = "trail of actions"
        default_permissions = ("view",)
        permissions = (
            (Kind.REVOKE_KEY.value, "Can revoke a key"),
            (Kind.SUSPEND_KEY.value, "Can suspend a key"),
            (Kind.RESTORE_KEY.value, "Can restore a suspended key"),
            (Kind.STOP_GRANT.value, "Can stop all keys of a payment"),
            (Kind.RESUME_GRANT.value, "Can let the keys of a payment work again"),
            (Kind.RESEND_REVEAL.value, "Can ask an owner to reveal their key"),
            (Kind.REFUND.value, "Can refund an order"),
            (Kind.REPLAY_EVENT.value, "Can replay an event"),
            (Kind.RECONCILE.value, "Can reconcile with Stripe"),
            (Kind.MARK_HANDLED.value, "Can mark as handled"),
        )
        constraints = (
            models.CheckConstraint(condition=~Q(reason=""), name="support_actions_have_a_reason"),
            models.CheckConstraint(
                condition=Q(kind__in=Kind.values), name="support_actions_kind_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.created_at:%Y-%m-%d %H:%M}"
