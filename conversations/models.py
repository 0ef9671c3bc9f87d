"""Conversations, which customers pay for. Independent of Stripe and API keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Value
from django.db.models.functions import Now
from django.utils import timezone


class PaymentStatus(models.TextChoices):
    """unpaid → pending → paid or failed; unpaid → failed; failed → pending or paid.

    paid → unpaid only after a refund or a lost dispute.
    """

    UNPAID = "unpaid"
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"


class DifferentRequest(Exception):
    """The Idempotency-Key was used before, for another body. `code` and `detail` are public."""

    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used before, for a conversation with another body."


class ExternalIdTaken(Exception):
    """The user has a conversation with this external id."""


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def owned_by(self, user_id: int | None) -> ConversationQuerySet:
        """The rows of this user; none for an anonymous user (who has no id)."""
        return self.filter(user_id=user_id) if user_id else self.none()

    def create_once(
        self,
        *,
        user_id: int,
        title: str,
        token: str | None,
        external_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Conversation:
        """Create a conversation, or return the one of an earlier call with the same token.

        Raises DifferentRequest if that one is another, and ExternalIdTaken.
        """
        digest = hashlib.sha256(token.encode()).hexdigest() if token else None
        asked = {"title": title, "external_id": external_id, "metadata": dict(metadata or {})}
        try:
            with transaction.atomic():
                return self.create(user_id=user_id, idempotency_digest=digest, **asked)
        except IntegrityError:
            earlier = self.filter(user_id=user_id, idempotency_digest=digest).first()
            if digest is None or earlier is None:
                if self.filter(user_id=user_id, external_id=external_id).exists():
                    raise ExternalIdTaken from None
                raise
        if any(getattr(earlier, name) != value for name, value in asked.items()):
            raise DifferentRequest
        return earlier

    def locked(self) -> ConversationQuerySet:
        """Lock the rows until the transaction ends. For the lock order see docs/architecture.md.

        NO KEY: other transactions can still insert rows that refer to these.
        """
        return self.select_for_update(no_key=True)


class Conversation(models.Model):
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="conversations"
    )
    title = models.CharField(max_length=200)
    payment_status = models.CharField(
        max_length=16, choices=PaymentStatus, db_default=PaymentStatus.UNPAID
    )
    # The current Checkout Session; NULL until a link was created.
    stripe_session_id = models.CharField(  # noqa: DJ001
        max_length=255, null=True, blank=True, editable=False
    )
    # Another backend's id of the conversation, and what it wants to find in answers and events.
    external_id = models.CharField(  # noqa: DJ001
        max_length=255, null=True, blank=True, editable=False
    )
    metadata = models.JSONField(
        default=dict, db_default=Value({}, models.JSONField()), editable=False
    )
    # Why the last attempt to pay was declined, in Stripe's word, and when; empty after a new link.
    decline_code = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    declined_at = models.DateTimeField(null=True, blank=True, editable=False)
    # SHA-256 of the Idempotency-Key of the request that created it.
    idempotency_digest = models.CharField(  # noqa: DJ001
        max_length=64, null=True, blank=True, editable=False
    )
    # By the clock that `updated_at` is by: otherwise a new row may be older than its update.
    created_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = ConversationQuerySet.as_manager()

    class Meta:
        db_table = "conversations"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(payment_status__in=PaymentStatus.values),
                name="conversations_payment_status_known",
            ),
            models.UniqueConstraint(
                fields=["user", "idempotency_digest"],
                condition=models.Q(idempotency_digest__isnull=False),
                name="conversations_of_request",
            ),
            models.UniqueConstraint(
                fields=["user", "external_id"],
                condition=models.Q(external_id__isnull=False),
                name="conversations_one_of_an_external_id",
            ),
        )
        # None contains payment_status: every payment would have to update that index.
        indexes = (
            models.Index(fields=["user", "-id"], name="conversations_of_user"),
            models.Index(fields=["stripe_session_id"], name="conversations_by_session"),
            models.Index(fields=["created_at"], name="conversations_by_day"),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def is_paid(self) -> bool:
        return self.payment_status == PaymentStatus.PAID

    @property
    def is_payable(self) -> bool:
        return not self.is_paid

    def mark_pending(self, session_id: str) -> None:
        """Make this the session to pay. A paid conversation stays paid."""
        if self.is_paid:
            return
        self._change(PaymentStatus.PENDING, stripe_session_id=session_id)

    def mark_paid(self, session_id: str) -> None:
        self._change(PaymentStatus.PAID, stripe_session_id=session_id)

    def fail(self) -> None:
        """The payment failed. A paid conversation stays paid."""
        if self.payment_status in (PaymentStatus.PAID, PaymentStatus.FAILED):
            return
        self.payment_status = PaymentStatus.FAILED
        self.save(update_fields=["payment_status", "updated_at"])

    def decline(self, code: str, at: datetime) -> None:
        """An attempt to pay was declined: fail, and keep the reason of the newest attempt."""
        self.fail()
        if self.is_paid or (self.declined_at and self.declined_at > at):
            return
        self.decline_code, self.declined_at = code, at
        self.save(update_fields=["decline_code", "declined_at", "updated_at"])

    def unpay(self) -> None:
        """The payment was refunded or lost in a dispute; the conversation can be paid again."""
        self._change(PaymentStatus.UNPAID, stripe_session_id=self.stripe_session_id)

    def _change(self, status: PaymentStatus, *, stripe_session_id: str | None) -> None:
        """Change the status; what was declined before does not matter any more."""
        self.payment_status = status
        self.stripe_session_id = stripe_session_id
        self.decline_code, self.declined_at = "", None
        self.save(
            update_fields=[
                *("payment_status", "stripe_session_id", "decline_code", "declined_at"),
                "updated_at",
            ]
        )
