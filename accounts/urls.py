"""Routes of signing in and out, and of the second factor.

`payflow.api` has those of tokens: it limits wrong passwords.
"""

from __future__ import annotations

from allauth.account import views as allauth
from django.conf import settings
from django.contrib.auth import views
from django.urls import include, path, re_path

from accounts import account, language
from accounts.sign_in import SignInView

sign_in = SignInView.as_view(
    redirect_authenticated_user=True, extra_context={"sign_up": settings.SIGN_UP}
)
sign_out = views.LogoutView.as_view()

urlpatterns = [
    path("accounts/login/", sign_in, name="login"),
    path("accounts/logout/", sign_out, name="logout"),
    path("accounts/language/", language.choose, name="language"),
    # The names that django-allauth's own pages lead to.
    path("accounts/login/", sign_in, name="account_login"),
    path("accounts/logout/", sign_out, name="account_logout"),
    path("accounts/reauthenticate/", allauth.reauthenticate, name="account_reauthenticate"),
    path("accounts/signup/", account.SignUpView.as_view(), name="account_signup"),
    path(
        "accounts/confirm/", allauth.email_verification_sent, name="account_email_verification_sent"
    ),
    path(
        "accounts/confirm/<str:key>/", account.ConfirmView.as_view(), name="account_confirm_email"
    ),
    path("accounts/password_reset/", allauth.password_reset, name="account_reset_password"),
    path(
        "accounts/password_reset/sent/",
        allauth.password_reset_done,
        name="account_reset_password_done",
    ),
    path(
        "accounts/password_reset/done/",
        allauth.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^accounts/password_reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        account.ResetView.as_view(),
        name="account_reset_password_from_key",
    ),
    path("accounts/password_change/", account.OwnPasswordView.as_view(), name="password_change"),
    path(
        "account/", account.AccountView.as_view(http_method_names=["get", "head"]), name="account"
    ),
    path("account/name/", account.NameView.as_view(), name="account_name"),
    path("account/address/", account.AddressView.as_view(), name="account_address"),
    path("account/sessions/", account.SessionsView.as_view(), name="account_sessions"),
    path("accounts/2fa/", include("allauth.mfa.urls")),
]
