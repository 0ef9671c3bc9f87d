"""What accounts need of other apps: mail through the outbox, and erasure at the owner's request.

Links with a token are made when their mail is sent (`context` of a kind): none is stored.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from django.contrib.auth import logout
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts import sign_in
from accounts.account import PasswordCheckedView
from accounts.models import User
from notifications import outbox
from notifications.kinds import Kind, register
from notifications.models import Notification
from payflow import personal_data

# What the owner is told, by the name of django-allauth's mail.
_NOTICES = {
    "account/email/password_changed": "account.password_changed",
    "account/email/password_reset": "account.password_changed",
    "mfa/email/totp_activated": "account.factor_changed",
    "mfa/email/totp_deactivated": "account.factor_changed",
    "mfa/email/recovery_codes_generated": "account.factor_changed",
}


class AccountAdapter(sign_in.AccountAdapter):
    """Writes to the outbox what django-allauth would send at once."""

    def send_confirmation_mail(
        self, request: HttpRequest, emailconfirmation: EmailConfirmationHMAC, signup: bool
    ) -> None:
        address = emailconfirmation.email_address
        with transaction.atomic():
            self._record("account.confirm", address.user_id, address=address.pk)
            if not signup and address.email != address.user.email:
                self._record("account.address_changing", address.user_id)

    def send_password_reset_mail(self, user: User, email: str, context: object) -> None:
        self._record("account.reset", user.pk)

    def send_account_already_exists_mail(self, email: str) -> None:
        """Take as long as a new account does: that hashes a password."""
        make_password(secrets.token_hex())
        user = User.objects.get_by_natural_key(email)
        made_it = Notification.objects.filter(
            kind="account.confirm", cause__startswith=self._cause(user.pk)
        )
        if not made_it.exists():
            self._record("account.exists", user.pk)

    def send_notification_mail(
        self, template_prefix: str, user: User, *args: object, **kwargs: object
    ) -> None:
        if kind := _NOTICES.get(template_prefix):
            self._record(kind, user.pk)

    @transaction.atomic
    def _record(self, kind: str, user_id: int, **data: int) -> None:
        cause = " ".join([self._cause(user_id), *map(str, data.values())])
        outbox.record(kind, cause, user_id=user_id, data=data)

    def _cause(self, user_id: int) -> str:
        """Each request is a cause of its own; django-allauth limits them.

        But a form that is sent twice within a minute, as by a double click, is one cause.
        """
        form = self.request.POST.get("csrfmiddlewaretoken") or uuid.uuid4().hex
        value = f"{form} {int(time.time()) // 60}"
        return f"{user_id} {salted_hmac('payflow.accounts', value).hexdigest()}"


def _confirmation(notification: Notification) -> Mapping[str, Any] | None:
    address = EmailAddress.objects.filter(pk=notification.data["address"], verified=False).first()
    if address is None:
        return None
    key = EmailConfirmationHMAC.create(address).key
    return {"to": address.email, "link": reverse("account_confirm_email", args=[key])}


def _reset(notification: Notification) -> Mapping[str, Any] | None:
    user = User.objects.filter(pk=notification.user_id, is_active=True).first()
    if user is None:
        return None
    token = {"uidb36": user_pk_to_url_str(user), "key": default_token_generator.make_token(user)}
    return {"link": reverse("account_reset_password_from_key", kwargs=token)}


_RESET = {"link": reverse_lazy("account_reset_password"), "link_label": _("Choose a new password")}


def register_kinds() -> None:
    register(
        Kind(
            "account.confirm",
            _("Confirm your email address"),
            link_label=_("Confirm this address"),
            context=_confirmation,
        ),
        Kind(
            "account.reset",
            _("Choose a new password"),
            link_label=_("Choose a new password"),
            context=_reset,
        ),
        Kind("account.exists", _("You have an account already"), context=lambda _n: _RESET),
        Kind("account.address_changing", _("Your address is about to change")),
        Kind("account.password_changed", _("Your password was changed")),
        Kind("account.factor_changed", _("Your second factor was changed")),
    )


class EraseView(PasswordCheckedView):
    """Delete one's own account: `manage.py erase_user`, after the password."""

    template_name = "account/erase.html"

    def perform(self, request: HttpRequest) -> HttpResponse:
        user = User.objects.get_by_natural_key(request.user.get_username())
        logout(request)
        personal_data.erase(user)
        return render(request, "account/erased.html")
