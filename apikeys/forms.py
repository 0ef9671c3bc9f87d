"""Forms of the API keys page."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone

from apikeys.validators import MAX_NAME_LENGTH, validate_name

GRACE_PERIODS = (
    ("0", "immediately"),
    ("3600", "in an hour"),
    ("86400", "in a day"),
    ("604800", "in a week"),
)


_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}", re.ASCII)


def form_token(request: HttpRequest) -> str | None:
    """The one-time token of the form that was sent (`{% form_token %}`); None without one."""
    token = request.POST.get("form_token", "")
    return token if _TOKEN.fullmatch(token) else None


class NameForm(forms.Form):
    name = forms.CharField(max_length=MAX_NAME_LENGTH, validators=[validate_name])


class NewKeyForm(NameForm):
    expires_on = forms.DateField(
        required=False,
        label="Last day (optional)",
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def clean_expires_on(self) -> date | None:
        last_day: date | None = self.cleaned_data["expires_on"]
        if last_day is not None and last_day < timezone.now().date():
            raise ValidationError("This is in the past.")
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
