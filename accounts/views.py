"""The page to change one's own password."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib.auth import views
from django.http import HttpResponse

from accounts.forms import PasswordChangeForm


class PasswordChangeView(views.PasswordChangeView):
    form_class = PasswordChangeForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        """The owner gets a mail, as after a reset."""
        response = super().form_valid(form)
        adapter = get_adapter(self.request)
        adapter.send_notification_mail("account/email/password_changed", form.user)
        return response
