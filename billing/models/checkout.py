"""The switch of Checkout, which staff set: a table of one row."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

ONLY = 1


class CheckoutSettingsQuerySet(models.QuerySet["CheckoutSettings"]):
    def current(self) -> CheckoutSettings:
        """The one row, made if it is missing."""
        return self.get_or_create(pk=ONLY)[0]

    def is_closed_to_new_customers(self) -> bool:
        return self.filter(closed_to_new_customers_at__isnull=False).exists()

    def close_to_new_customers(self) -> bool:
        """False if it was closed before."""
        open_row = self.filter(pk=ONLY, closed_to_new_customers_at=None)
        return open_row.update(closed_to_new_customers_at=timezone.now()) > 0

    def open_to_new_customers(self) -> bool:
        """False if it was open before."""
        closed_row = self.filter(pk=ONLY, closed_to_new_customers_at__isnull=False)
        return closed_row.update(closed_to_new_customers_at=None) > 0


class CheckoutSettings(models.Model):
    """Who may pay. Without a row, everybody may."""

    # Customers without a completed payment get no payment link since then.
    closed_to_new_customers_at = models.DateTimeField(null=True, blank=True)

    objects = CheckoutSettingsQuerySet.as_manager()

    class Meta:
        db_table = "checkout_settings"
        verbose_name = "checkout"
        verbose_name_plural = "checkout"
        constraints = (
            models.CheckConstraint(condition=Q(id=ONLY), name="checkout_settings_is_one_row"),
        )

    def __str__(self) -> str:
        return "Checkout"

    @property
    def state(self) -> str:
        return "closed to new customers" if self.closed_to_new_customers_at else "open"
