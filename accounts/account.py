"""The page of one's own account: name, address, password, sessions, second factor."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from allauth.account.internal.flows.email_verification import (
    send_verification_email_to_address,
)
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.views import ConfirmEmailView, PasswordResetFromKeyView, SignupView
from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.core import signing
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from accounts import confirmation, session_list
from accounts.forms import AddressForm, NameForm, PasswordForm
from accounts.models import User
from accounts.second_factor import has_second_factor
from accounts.views import PasswordChangeView


class SignUpView(SignupView):  # type: ignore[misc]  # django-allauth has no types
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.SIGN_UP:
            raise Http404
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """User, address and mail come in one transaction: without its address a user is trusted."""
        try:
            with transaction.atomic():
                answer: HttpResponse = super().post(request, *args, **kwargs)
        except IntegrityError:  # sent twice at the same time: the first one counts
            return redirect("account_email_verification_sent")
        return answer


class ResetView(PasswordResetFromKeyView):  # type: ignore[misc]
    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        if context.get("token_fail"):
            kwargs["status"] = HTTPStatus.GONE
        answer: HttpResponse = super().render_to_response(context, **kwargs)
        return answer

    def form_valid(self, form: Any) -> HttpResponse:
        """The link was in a mail: so its receiver has the address."""
        confirmation.confirm(self.reset_user)
        answer: HttpResponse = super().form_valid(form)
        return answer


class ConfirmView(ConfirmEmailView):  # type: ignore[misc]
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        found = EmailConfirmationHMAC.from_key(kwargs["key"])
        if found is None:
            return self._ended(kwargs["key"])
        if confirmation.is_taken(found.email_address):
            return self._taken()
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer

    def _ended(self, key: str) -> HttpResponse:
        """The link was used, has expired, names an address that was given up, or was cut."""
        address, status = None, HTTPStatus.GONE
        try:
            address = confirmation.address_of(key)
        except signing.BadSignature:
            status = HTTPStatus.NOT_FOUND
        context = {
            "was_used": address is not None and address.verified,
            "is_of_sign_up": address is not None and confirmation.is_pending(address.user),
        }
        return render(self.request, "account/confirmation_ended.html", context, status=status)

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        address = self.get_object().email_address
        try:
            with transaction.atomic():
                # The lock under which `confirmation.delete_abandoned` deletes it.
                if not EmailAddress.objects.select_for_update().filter(pk=address.pk):
                    return self._ended(kwargs["key"])
                answer: HttpResponse = super().post(*args, **kwargs)
        except IntegrityError:  # another account got the address at the same time
            return self._taken()
        return answer

    def _taken(self) -> HttpResponse:
        return render(self.request, "account/address_taken.html", status=HTTPStatus.CONFLICT)


class SignedInMixin(LoginRequiredMixin):
    """Leads to the sign-in page, which says that a form did nothing.

    Changing the password and deleting the account end the session: who sends such a form twice is
    signed out when the second request arrives.
    """

    request: HttpRequest

    def handle_no_permission(self) -> HttpResponseRedirect:
        answer = super().handle_no_permission()
        if self.request.method == "POST":
            answer.headers["Location"] += "&unsent"
        return answer


class OwnPasswordView(SignedInMixin, PasswordChangeView):
    template_name = "account/password_change.html"
    success_url = reverse_lazy("account")


@method_decorator([never_cache, sensitive_post_parameters("password")], "dispatch")
class AccountView(SignedInMixin, View):
    """Shows the page. A subclass handles one of its forms."""

    def get(self, request: HttpRequest, *, status: int = 200, **forms: Any) -> HttpResponse:
        user = _user(request)
        context = {
            "name_form": NameForm(instance=user),
            "address_form": AddressForm(request),
            "has_second_factor": has_second_factor(user),
            "unconfirmed": _unconfirmed(user).first(),
            "sessions": session_list.sessions_of(user, current=request.session.session_key),
            "done": request.GET.get("done", ""),
            **forms,
        }
        return render(request, "account/account.html", context, status=status)


class NameView(AccountView):
    def post(self, request: HttpRequest) -> HttpResponse:
        form = NameForm(request.POST, instance=_user(request))
        if not form.is_valid():
            return self.get(request, status=400, name_form=form)
        form.save()
        return _done("name")


class AddressView(AccountView):
    """A new address counts once it is confirmed; until then the old one does.

    The answer does not tell whether another account has the address.
    """

    def post(self, request: HttpRequest) -> HttpResponse:
        user = _user(request)
        form = AddressForm(request, request.POST)
        if not form.is_valid():
            return self.get(request, status=400, address_form=form)
        if refusal := ratelimit.consume_or_429(
            request, app="allauth.account", action="manage_email", user=user
        ):
            answer: HttpResponse = refusal
            return answer
        email = form.cleaned_data["email"]
        _unconfirmed(user).exclude(email=email).delete()
        if not User.objects.filter(email__iexact=email).exists():
            address, _ = EmailAddress.objects.get_or_create(user=user, email=email)
            send_verification_email_to_address(request, address)
        return _done("address")


class SessionsView(AccountView):
    """Ends the session that the form names, else all but this one."""

    def post(self, request: HttpRequest) -> HttpResponse:
        if handle := request.POST.get("session"):
            session_list.end(_user(request), handle)
            return _done("session")
        session_list.end_all(_user(request), but=request.session.session_key)
        return _done("sessions")


class PasswordCheckedView(AccountView):
    """Asks for the password, then does `perform`."""

    template_name = ""

    def get(self, request: HttpRequest, *, status: int = 200, **forms: Any) -> HttpResponse:
        context = {"form": PasswordForm(request), **forms}
        return render(request, self.template_name, context, status=status)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = PasswordForm(request, request.POST)
        if not form.is_valid():
            return self.get(request, status=400, form=form)
        return self.perform(request)

    def perform(self, request: HttpRequest) -> HttpResponse:
        raise NotImplementedError


def _user(request: HttpRequest) -> User:
    """Who is signed in: LoginRequiredMixin has looked."""
    return cast("User", request.user)


def _unconfirmed(user: User) -> Any:
    """The address that the user wants to have instead."""
    return EmailAddress.objects.filter(user=user, verified=False).exclude(email__iexact=user.email)


def _done(what: str) -> HttpResponse:
    answer = redirect("account")
    answer.headers["Location"] += f"?done={what}"
    return answer
