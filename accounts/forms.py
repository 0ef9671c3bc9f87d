"""The forms of one's own account. Each wrong password is a failed sign-in, and counts as one."""

from __future__ import annotations

from typing import Any

from django import forms as fields
from django.contrib.auth import authenticate, forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
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


class NameForm(fields.ModelForm[User]):
    class Meta:
        model = User
        fields = ("name",)


class PasswordForm(fields.Form):
    password = fields.CharField(
        strip=False,
        widget=fields.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    @sensitive_variables("password")
    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        username = self._request.user.get_username()
        if authenticate(self._request, username=username, password=password) is None:
            raise ValidationError(_("The password is wrong."), "password_incorrect")
        return password


class AddressForm(PasswordForm):
    email = fields.EmailField(max_length=254)
    field_order = ("email", "password")

    def clean_email(self) -> str:
        email = User.normalize_username(self.cleaned_data["email"])
        if email == User.normalize_username(self._request.user.get_username()):
            raise ValidationError(_("This is your address already."), "same")
        return email
