"""Signing in on pages: our form, then the second factor of who has one.

The password is checked by Django's form, so that failures count as everywhere (django-axes).
Whoever has a second factor is then sent to django-allauth's page, which signs them in.
"""

from __future__ import annotations

import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.decorators import reauthentication_required
from allauth.account.utils import perform_login
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts import confirmation, language
from accounts.models import User
from notifications import outbox

# In the session of a member of staff: when they signed in, or first came to the admin.
_STAFF_SINCE = "staff_since"


class SignInView(LoginView):
    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in, or ask for the second factor of who has one."""
        user = form.get_user()
        answer: HttpResponse = perform_login(
            self.request,
            user,
            redirect_url=self.get_success_url(),
            # Sends the mail again, and says so.
            email_verification="mandatory" if confirmation.is_pending(user) else "none",
        )
        language.learn(user)
        return answer


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # django-allauth has no types
    def login(self, request: HttpRequest, user: User) -> None:
        user.backend = "django.contrib.auth.backends.ModelBackend"
        super().login(request, user)
        if user.is_staff:
            request.session[_STAFF_SINCE] = time.time()
            request.session.set_expiry(settings.STAFF_SESSION_MINUTES * 60)
            self._tell(request, user)

    def _tell(self, request: HttpRequest, user: User) -> None:
        """Every sign-in of staff is mailed to them."""
        at = timezone.now().isoformat()
        data = {"signedInAt": at, "network": self.get_client_ip(request)}
        with transaction.atomic():
            outbox.record("staff.signed_in", f"user/{user.pk}/{at}", user_id=user.pk, data=data)

    def reauthenticate(self, user: User, password: str) -> bool:
        """Ask as a sign-in does, so that wrong passwords count."""
        return authenticate(self.request, username=user.email, password=password) == user

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.SIGN_UP)

    def new_user(self, request: HttpRequest) -> User:
        """Mails to who signs up are in the language of the page."""
        return User(language=language.current())

    def clean_email(self, email: str) -> str:
        return User.normalize_username(super().clean_email(email))

    def get_client_ip(self, request: HttpRequest) -> str:
        address = import_string(settings.AXES_CLIENT_IP_CALLABLE)
        return str(address(request))

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """Pages say what happened; messages would wait until a page of the admin shows them."""


def is_recent(request: HttpRequest) -> bool:
    """Whether the session of a member of staff is younger than STAFF_SESSION_MINUTES."""
    now = time.time()
    since: float = request.session.setdefault(_STAFF_SINCE, now)
    return now - since < settings.STAFF_SESSION_MINUTES * 60


@reauthentication_required  # type: ignore[untyped-decorator]
def require_reauthentication(request: HttpRequest) -> None:
    """Raise unless password or second factor was asked for again just now.

    The middleware then asks, and repeats the request.
    """
