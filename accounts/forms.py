"""The form to change one's own password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from accounts.models import User


class PasswordChangeForm(forms.PasswordChangeForm):
    """Wrong old passwords are failed sign-ins, and count as such."""

    required_css_class = "required"

    def __init__(self, user: User, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self._request = request

    @sensitive_variables("old_password")
    def clean_old_password(self) -> str:
        old_password = str(self.cleaned_data["old_password"])
        username = self.user.get_username()
        if authenticate(self._request, username=username, password=old_password) is None:
            raise ValidationError(self.error_messages["password_incorrect"], "password_incorrect")
        return old_password
