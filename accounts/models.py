"""Users, identified by their email address in any case, refresh tokens, and service tokens."""

from __future__ import annotations

import unicodedata
import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower, Now

from accounts.sessions import BrowserSession  # noqa: F401 - a model of this app too


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a user, who can't sign in without a password. Raises ValueError: no email."""
        email = self.model.normalize_username(email)
        if not email:
            raise ValueError("A user needs an email address.")
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        """The user with this email address, however it is spelled; uses the unique index."""
        return self.alias(lower_email=Lower("email")).get(
            lower_email=self.model.normalize_username(username or "")
        )


class User(AbstractBaseUser, PermissionsMixin):
    """Every column except `email` has a database default, for rows inserted by SQL."""

    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=200, blank=True, db_default="")
    # Of mails, a code of LANGUAGES; empty: not known yet.
    language = models.CharField(max_length=16, blank=True, db_default="", editable=False)
    # No input matches "!": a user inserted by SQL can use tokens, but not sign in.
    password = models.CharField(max_length=128, db_default="!")
    is_superuser = models.BooleanField("superuser", db_default=False)
    is_staff = models.BooleanField("staff", db_default=False, help_text="May use the admin.")
    is_active = models.BooleanField(
        "active", db_default=True, help_text="Unset this instead of deleting a user."
    )
    date_joined = models.DateTimeField(db_default=Now(), editable=False)
    # When the personal data was removed at the person's request; the account never works again.
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The user's id in another backend, which made the account by the service API.
    external_id = models.CharField(
        max_length=255, unique=True, null=True, blank=True, editable=False
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "users"
        constraints = (
            models.UniqueConstraint(
                Lower("email"),
                name="users_email_unique_in_any_case",
                violation_error_message="A user with this email address already exists.",
            ),
            models.CheckConstraint(
                condition=models.Q(erased_at__isnull=True) | models.Q(is_active=False),
                name="users_erased_are_inactive",
            ),
            # The other backend changes these accounts, and issues tokens for them.
            models.CheckConstraint(
                condition=models.Q(external_id__isnull=True)
                | models.Q(is_staff=False, is_superuser=False),
                name="users_staff_have_no_external_id",
                violation_error_message="An account with an external id can't be of the staff.",
            ),
        )
        indexes = (
            models.Index(fields=["-id"], name="users_staff", condition=models.Q(is_staff=True)),
            models.Index(
                fields=["-id"], name="users_inactive", condition=models.Q(is_active=False)
            ),
            models.Index(
                fields=["id"], name="users_erased", condition=models.Q(erased_at__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        super().clean()
        if self.is_active and self.erased_at:
            raise ValidationError("The account was erased and cannot be activated again.")

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """The one spelling of an email address, which is stored and compared.

        Django's model forms call it too. Python lowers a dotted capital I to two characters,
        PostgreSQL to one: both are the same address here.
        """
        lower = unicodedata.normalize("NFC", username.strip()).lower().replace("i\u0307", "i")
        return unicodedata.normalize("NFC", lower)

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.get_full_name()


class RefreshToken(models.Model):
    """The one refresh token that a sign-in can use next. Each use replaces it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="refresh_tokens")
    current = models.UUIDField(default=uuid.uuid4, editable=False)  # the token's `jti`
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "refresh_tokens"

    def __str__(self) -> str:
        return f"refresh token of user {self.user_id}"


class ServiceToken(models.Model):
    """The credential of another backend for `/api/service/`. Only a hash of it is stored.

    `accounts.service_tokens` writes the rows.
    """

    name = models.CharField(max_length=64, editable=False)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=12, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "service_tokens"
        constraints = (
            # The access log names the token: a name is never of two that work.
            models.UniqueConstraint(
                fields=["name"],
                condition=models.Q(revoked_at__isnull=True),
                name="service_tokens_one_of_a_name",
            ),
        )

    def __str__(self) -> str:
        return self.name
