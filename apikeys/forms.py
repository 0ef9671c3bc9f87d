"""Forms of the API keys page."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from apikeys.validators import MAX_NAME_LENGTH, validate_name

GRACE_PERIODS = (
    ("0", _("immediately")),
    ("3600", _("in an hour")),
    ("86400", _("in a day")),
    ("604800", _("in a week")),
)


_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}", re.ASCII)


def form_token(request: HttpRequest) -> str | None:
    """The one-time token of the form that was sent (`{% form_token %}`); None without one."""
    token = request.POST.get("form_token", "")
    return token if _TOKEN.fullmatch(token) else None


def token_for(request: HttpRequest, action: str, key_id: int | None) -> str:
    """The token of a form: of one browser, for one action on one key.

    Computed from the browser's CSRF cookie, which is stored nowhere here: so the browser that lost
    an answer can ask for it again, and nobody can compute a secret from what is stored.
    """
    get_token(request)
    cookie = request.META["CSRF_COOKIE"]
    value = f"{cookie}:{request.user.pk}:{action}:{key_id}"
    return salted_hmac("apikeys.form_token", value, algorithm="sha256").hexdigest()


class NameForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=MAX_NAME_LENGTH, validators=[validate_name])


class NewKeyForm(NameForm):
    expires_on = forms.DateField(
        required=False,
        label=_("Last day (optional)"),
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def clean_expires_on(self) -> date | None:
        last_day: date | None = self.cleaned_data["expires_on"]
        if last_day is not None and last_day < timezone.now().date():
            raise ValidationError(_("This is in the past."))
        return last_day

    def expires_at(self) -> datetime | None:
        """The end of the chosen day, in UTC."""
        last_day = self.cleaned_data["expires_on"]
        if last_day is None or last_day == date.max:
            return None
        return datetime.combine(last_day + timedelta(days=1), time.min, UTC)


class RotationForm(forms.Form):
    grace = forms.TypedChoiceField(
        choices=GRACE_PERIODS,
        coerce=lambda seconds: timedelta(seconds=int(seconds)),
        initial="86400",
    )
