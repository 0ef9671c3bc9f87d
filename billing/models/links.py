"""Payment links: one row for each Checkout Session that a customer was given."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q
from django.db.models.functions import Now


class CheckoutLinkQuerySet(models.QuerySet["CheckoutLink"]):
    def open(self) -> CheckoutLinkQuerySet:
        """Links whose session may still be paid, as far as is known here."""
        return self.filter(closed_at=None)


class CheckoutLink(models.Model):
    """What a customer was asked to pay, as this server asked for it.

    Source data, like users and conversations: it cannot be computed from the event log.
    """

    # In the metadata of the session and of its PaymentIntent. Computed from the Idempotency-Key
    # where there is one, so that a repeated request finds its link.
    link_id = models.CharField(max_length=64, unique=True)
    stripe_session_id = models.CharField(max_length=255, unique=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="checkout_links"
    )
    conversation = models.ForeignKey(
        "conversations.Conversation", on_delete=models.PROTECT, related_name="checkout_links"
    )
    tier = models.CharField(max_length=64)
    stripe_price_id = models.CharField(max_length=255)
    # The price's amount, before discounts and tax; NULL if Stripe's answer had none.
    amount_cents = models.BigIntegerField(null=True, help_text="In the currency's smallest unit.")
    currency = models.CharField(max_length=3, db_default="usd")
    # Stripe's times, in whole seconds.
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)
    # When the session was known to be completed, failed or expired: reconcile_orders asks for the
    # links without it.
    closed_at = models.DateTimeField(null=True)

    objects = CheckoutLinkQuerySet.as_manager()

    class Meta:
        db_table = "checkout_links"
        indexes = (
            # Open links are a handful of rows among millions.
            models.Index(
                fields=["id"], name="checkout_links_open", condition=Q(closed_at__isnull=True)
            ),
        )

    def __str__(self) -> str:
        return f"Link {self.link_id}"


# The same for PostgreSQL, in billing.fast_path. In whole seconds, as Stripe's times are: a session
# of the same second counts as later.
RECORDED_SINCE = (
    "SELECT date_trunc('second', MIN(applied)) FROM django_migrations WHERE app = 'billing'"
)


def recorded_since() -> datetime | None:
    """When this database got its tables: it has the links of all sessions created since."""
    applied = MigrationRecorder.Migration.objects.filter(app="billing")
    since: datetime | None = applied.aggregate(since=models.Min("applied"))["since"]
    return since and since.replace(microsecond=0)
