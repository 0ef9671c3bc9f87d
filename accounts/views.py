"""The page to change one's own password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import views

from accounts.forms import PasswordChangeForm


class PasswordChangeView(views.PasswordChangeView):
    form_class = PasswordChangeForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}
