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

    def unexpired(self, at: datetime) -> ApiKeyQuerySet:
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=at))

    def live(self, at: datetime) -> ApiKeyQuerySet:
        """Keys that authenticate, or will again when a suspension is lifted."""
        return self.not_revoked().unexpired(at)

    def usable(self, at: datetime) -> ApiKeyQuerySet:
        """Keys that authenticate at this moment, as far as the key itself decides."""
        return self.live(at).filter(suspended_at__isnull=True)

    def listed(self, at: datetime) -> ApiKeyQuerySet:
        """What an owner is shown: not what they deleted, nor what a successor has outlived."""
        return self.not_revoked().exclude(rotated_at__isnull=False, expires_at__lte=at)

    def family(self, root_id: int) -> ApiKeyQuerySet:
        """The key a payment issued, and every key made or rotated under that payment."""
        return self.filter(Q(pk=root_id) | Q(grant_id=root_id)).order_by("pk")

    def locked(self) -> ApiKeyQuerySet:
        """Lock the rows until the transaction ends: the last lock of the order (docs)."""
        return self.select_for_update(no_key=True)


class KeyState(models.TextChoices):
    ACTIVE = "active", "active"
    ROTATED = "rotated", "rotated"  # works until its grace is over; its successor works too
    SUSPENDED = "suspended", "suspended"  # its payment is disputed
    EXPIRED = "expired", "expired"
    REVOKED = "revoked", "revoked"


class Hold(models.TextChoices):
    """What the payment's way back did to a key, so that just this can be undone.

    None of it where a person has stopped the key as well: then only a person decides.
    """

    NONE = "", "none"
    SUSPENDED = "suspended", "suspended"
    REVOKED = "revoked", "revoked"


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
    # What was paid for; a gateway learns it with the key. Empty: no tier is known.
    tier = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    # The key that the payment issued, where this one was made or rotated later: when the money
    # goes back, the whole family ends. NULL: this is the issued key itself.
    grant = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="granted",
    )
    # Unique: a key has one successor, whoever rotates it at the same time.
    predecessor = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="successor",
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revealed_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    rotated_at = models.DateTimeField(null=True, blank=True, editable=False)
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    hold = models.CharField(
        max_length=16, choices=Hold, blank=True, db_default=Hold.NONE, editable=False
    )
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

    @property
    def root_id(self) -> int:
        """The id of the key that its payment issued, maybe its own."""
        return self.grant_id or self.pk

    @property
    def is_revealable(self) -> bool:
        """Whether its secret is still to be shown; a rotated key's successor was shown instead."""
        return self.revealed_at is None and self.rotated_at is None and not self.has_expired()

    @property
    def is_rotatable(self) -> bool:
        return self.rotated_at is None and self.may_authenticate()

    @property
    def state(self) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.has_expired():
            return KeyState.EXPIRED
        if self.suspended_at is not None:
            return KeyState.SUSPENDED
        return KeyState.ACTIVE if self.rotated_at is None else KeyState.ROTATED

    def has_expired(self, at: datetime | None = None) -> bool:
        return self.expires_at is not None and self.expires_at <= (at or timezone.now())

    def may_authenticate(self, at: datetime | None = None) -> bool:
        """Whether the key itself stands; its user must be active besides."""
        return not (self.has_expired(at) or self.revoked_at or self.suspended_at)
