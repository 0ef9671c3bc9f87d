"""Grants and their API keys. A usable key is never stored, only its hash and its prefix."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from apikeys import tokens

# A repeat of a request with the same token is answered with the same secret for so long.
REPEATABLE_FOR = timedelta(minutes=1)

# The range of Python's datetime. PostgreSQL's 'infinity' is outside it: a row with such a time
# could not be read.
_FIRST_TIME = datetime(1, 1, 1, tzinfo=UTC)
_LAST_TIME = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def _finite_times(table: str, *names: str) -> tuple[models.CheckConstraint, ...]:
    return tuple(
        models.CheckConstraint(
            condition=Q(**{f"{name}__gte": _FIRST_TIME, f"{name}__lte": _LAST_TIME}),
            name=f"{table}_{name}_finite",
        )
        for name in names
    )


# The reason of a suspension by a payment.
DISPUTED = "The payment is disputed."


class GrantState(models.TextChoices):
    ACTIVE = "active", "active"
    SUSPENDED = "suspended", "suspended"  # its payment is in dispute
    STOPPED = "stopped", "stopped"  # by staff
    REVOKED = "revoked", "revoked"  # its payment was refunded or lost in a dispute


class GrantQuerySet(models.QuerySet["Grant"]):
    def owned_by(self, user_id: int | None) -> GrantQuerySet:
        """The rows of this user; none for an anonymous user (who has no id)."""
        return self.filter(user_id=user_id) if user_id else self.none()

    def not_revoked(self) -> GrantQuerySet:
        return self.filter(revoked_at=None)

    def usable(self) -> GrantQuerySet:
        """`Grant.is_usable` as a query."""
        return self.not_revoked().filter(suspended_at=None, stopped_at=None)

    def locked(self) -> GrantQuerySet:
        """Lock the rows until the transaction ends. For the lock order see docs/architecture.md."""
        return self.select_for_update(no_key=True)


class Grant(models.Model):
    """What a payment grants: the right to hold keys of a tier.

    `suspended_at` and `revoked_at` are written only by fulfilment, `stopped_at` and
    `stopped_reason` only by staff. Any of the three times stops every key of the grant.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="grants"
    )
    # Empty: no tier is known.
    tier = models.CharField(max_length=64, blank=True, db_default="")
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    stopped_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Shown to the owner.
    stopped_reason = models.CharField(max_length=200, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = GrantQuerySet.as_manager()

    class Meta:
        db_table = "grants"
        constraints = _finite_times("grants", "suspended_at", "revoked_at", "stopped_at")
        indexes = (
            models.Index(fields=["user", "-id"], name="grants_of_user"),
            # For lists of staff, newest first.
            models.Index(
                fields=["-id"], name="grants_revoked", condition=Q(revoked_at__isnull=False)
            ),
            models.Index(
                fields=["-id"], name="grants_suspended", condition=Q(suspended_at__isnull=False)
            ),
            models.Index(
                fields=["-id"], name="grants_stopped", condition=Q(stopped_at__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"Grant {self.pk}"

    @property
    def is_usable(self) -> bool:
        return not (self.revoked_at or self.suspended_at or self.stopped_at)

    @property
    def payment_state(self) -> str:
        """What the payment made of its keys, in the words of the outbox."""
        if self.revoked_at:
            return "revoked"
        return "suspended" if self.suspended_at else "restored"

    @property
    def state(self) -> GrantState:
        if self.revoked_at:
            return GrantState.REVOKED
        if self.stopped_at:
            return GrantState.STOPPED
        return GrantState.SUSPENDED if self.suspended_at else GrantState.ACTIVE

    @property
    def issued_key(self) -> ApiKey | None:
        """The key that the payment issued: the first of the grant."""
        return self.keys.order_by("pk").first()


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def owned_by(self, user_id: int | None) -> ApiKeyQuerySet:
        """The rows of this user; none for an anonymous user (who has no id)."""
        return self.filter(user_id=user_id) if user_id else self.none()

    def not_revoked(self) -> ApiKeyQuerySet:
        """Keys that are not revoked, under grants that are not revoked."""
        return self.filter(revoked_at=None, grant__revoked_at=None)

    def live(self, at: datetime) -> ApiKeyQuerySet:
        """Keys that are active, or will be when a suspension is lifted."""
        return self.not_revoked().filter(Q(expires_at=None) | Q(expires_at__gt=at))

    def listed(self, at: datetime) -> ApiKeyQuerySet:
        """Keys shown to their owner: not revoked, nor rotated with their grace period over."""
        ended = Q(rotated_at__isnull=False, expires_at__lte=at)
        return self.not_revoked().exclude(ended).select_related("grant")

    def locked(self) -> ApiKeyQuerySet:
        """Lock the rows until the transaction ends; the last lock of docs/architecture.md."""
        return self.select_for_update(no_key=True, of=("self",))


class KeyState(models.TextChoices):
    """The first that applies of: revoked, expired, suspended, rotated, active."""

    ACTIVE = "active", "active"
    ROTATED = "rotated", "rotated"  # it works until its grace period ends, beside its successor
    SUSPENDED = "suspended", "suspended"  # the key by staff, or its grant
    EXPIRED = "expired", "expired"
    REVOKED = "revoked", "revoked"


class StoppedBy(models.TextChoices):
    """Who suspended a key: its payment, by a dispute, or staff."""

    PAYMENT = "payment", "payment"
    SUPPORT = "support", "support"


class ApiKey(models.Model):
    """Revocation is permanent; a suspension can be lifted.

    Only owner and staff change a key; payments change its grant. Until the key is revealed,
    `key_hash` is the hash of a secret that was discarded.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="api_keys"
    )
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="keys")
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_prefix = models.CharField(max_length=tokens.PREFIX_LENGTH, editable=False)
    name = models.CharField(max_length=200, db_default="")
    # Unique: a key has at most one successor, even if it is rotated concurrently.
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
    # Shown to the owner.
    revoked_reason = models.CharField(max_length=200, blank=True, db_default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        db_table = "api_keys"
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        constraints = _finite_times(
            "api_keys",
            "expires_at",
            "last_used_at",
            "revealed_at",
            "rotated_at",
            "suspended_at",
            "revoked_at",
        )
        indexes = (
            models.Index(fields=["user", "-id"], name="api_keys_of_user"),
            # For staff: search by prefix, and lists, newest first.
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
            # For mail to their owners.
            models.Index(
                fields=["expires_at"],
                name="api_keys_ending",
                condition=Q(
                    expires_at__isnull=False, revoked_at__isnull=True, rotated_at__isnull=True
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.key_prefix}…"

    @property
    def is_revealed(self) -> bool:
        return self.revealed_at is not None

    @property
    def is_revealable(self) -> bool:
        """Whether the secret can be revealed. That of a rotated key cannot: it has a successor."""
        return self.revealed_at is None and self.rotated_at is None and self.may_authenticate()

    @property
    def was_just_shown(self) -> bool:
        """Whether who lost the answer that showed it can still have it again."""
        at = self.revealed_at
        recently = at is not None and timezone.now() - at < REPEATABLE_FOR
        return recently and self.may_authenticate()

    @property
    def is_rotatable(self) -> bool:
        return self.rotated_at is None and self.may_authenticate()

    @property
    def state(self) -> KeyState:
        if self.revoked_at or self.grant.revoked_at:
            return KeyState.REVOKED
        if self.has_expired():
            return KeyState.EXPIRED
        if self.suspended_at or not self.grant.is_usable:
            return KeyState.SUSPENDED
        return KeyState.ROTATED if self.rotated_at else KeyState.ACTIVE

    @property
    def stopped(self) -> tuple[StoppedBy, str] | None:
        """Who stopped a suspended key, and the reason that its owner may read ("" without one)."""
        if self.state != KeyState.SUSPENDED:
            return None
        if self.grant.stopped_at:
            return StoppedBy.SUPPORT, self.grant.stopped_reason
        if self.suspended_at:
            return StoppedBy.SUPPORT, ""
        return StoppedBy.PAYMENT, DISPUTED

    def has_expired(self, at: datetime | None = None) -> bool:
        return self.expires_at is not None and self.expires_at <= (at or timezone.now())

    def may_authenticate(self, at: datetime | None = None) -> bool:
        """Whether the key and its grant are active. Does not check that the user is active."""
        stopped = self.revoked_at or self.suspended_at or self.has_expired(at)
        return not stopped and self.grant.is_usable
