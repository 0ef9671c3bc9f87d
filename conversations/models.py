"""A conversation: the thing that is paid for. It knows neither Stripe nor keys."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class PaymentStatus(models.TextChoices):
    """unpaid → pending → paid or failed, unpaid → failed; failed may be tried again.

    paid → unpaid only when the money went back.
    """

    UNPAID = "unpaid"
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def owned_by(self, user_id: int | None) -> ConversationQuerySet:
        """The rows of this user; of nobody (an anonymous user has no id), none."""
        return self.filter(user_id=user_id) if user_id else self.none()

    def locked(self) -> ConversationQuerySet:
        """Lock the rows until the transaction ends. For the lock order see docs/architecture.md.

        NO KEY: rows that refer to this one may still be inserted by others meanwhile.
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
    # The Checkout Session that is payable now; NULL until a link was asked for.
    stripe_session_id = models.CharField(  # noqa: DJ001
        max_length=255, null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = ConversationQuerySet.as_manager()

    class Meta:
        db_table = "conversations"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(payment_status__in=PaymentStatus.values),
                name="conversations_payment_status_known",
            ),
        )
        # Neither holds the payment status: a payment changes that, and would pay for each index.
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
        """A link was handed out: this session is the one to pay now. Paid stays paid."""
        if self.is_paid:
            return
        self.payment_status = PaymentStatus.PENDING
        self.stripe_session_id = session_id
        self.save(update_fields=["payment_status", "stripe_session_id", "updated_at"])

    def mark_paid(self, session_id: str) -> None:
        self.payment_status = PaymentStatus.PAID
        self.stripe_session_id = session_id
        self.save(update_fields=["payment_status", "stripe_session_id", "updated_at"])

    def fail(self) -> None:
        """The payment failed. Paid never goes back because of a failure."""
        if self.is_paid:
            return
        self.payment_status = PaymentStatus.FAILED
        self.save(update_fields=["payment_status", "updated_at"])

    def unpay(self) -> None:
        """The money went back: it may be paid anew."""
        self.payment_status = PaymentStatus.UNPAID
        self.save(update_fields=["payment_status", "updated_at"])
