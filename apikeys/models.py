"""API keys at rest: a hash, a prefix, and the facts of their life. Never the key."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from apikeys import tokens


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def owned_by(self, user_id: int | None) -> ApiKeyQuerySet:
        """The rows of this user; of nobody (an anonymous user has no id), none."""
        return self.filter(user_id=user_id) if user_id else self.none()

    def not_revoked(self) -> ApiKeyQuerySet:
        return self.filter(revoked_at__isnull=True)

    def usable(self, at: datetime) -> ApiKeyQuerySet:
        """Keys that authenticate at this moment, as far as the key itself decides."""
        unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=at)
        return self.not_revoked().filter(unexpired, suspended_at__isnull=True)

    def locked(self) -> ApiKeyQuerySet:
        """Lock the rows until the transaction ends: the last lock of the order (docs)."""
        return self.select_for_update(no_key=True)


class ApiKey(models.Model):
    """Revocation is one way; suspension (an open dispute) can be lifted.

    Until it is revealed, `key_hash` is the hash of a key that nobody has ever seen.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_keys"
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_prefix = models.CharField(max_length=tokens.PREFIX_LENGTH, editable=False)
    name = models.CharField(max_length=200, db_default="")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revealed_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Why it was revoked, in words for its owner.
    revoked_reason = models.CharField(max_length=200, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        db_table = "api_keys"
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        indexes = (
            models.Index(fields=["user", "-id"], name="api_keys_of_user"),
            # For staff: a key by its first characters, and the exceptions newest first.
            models.Index(
                fields=["key_prefix"], name="api_keys_by_prefix", opclasses=["varchar_pattern_ops"]
            ),
            models.Index(
                fields=["-id"], name="api_keys_revoked", condition=Q(revoked_at__isnull=False)
            ),
            models.Index(
                fields=["-id"], name="api_keys_suspended", condition=Q(suspended_at__isnull=False)
            ),
            models.Index(
                fields=["-id"], name="api_keys_unrevealed", condition=Q(revealed_at__isnull=True)
            ),
        )

    def __str__(self) -> str:
        return f"{self.key_prefix}…"

    @property
    def is_revealed(self) -> bool:
        return self.revealed_at is not None

    def may_authenticate(self, at: datetime | None = None) -> bool:
        """Whether the key itself stands; its user must be active besides."""
        at = at or timezone.now()
        expired = self.expires_at is not None and self.expires_at <= at
        return not (expired or self.revoked_at or self.suspended_at)
