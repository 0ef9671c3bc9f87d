"""Routes of signing in and out, and of the second factor.

`payflow.api` has those of tokens: it limits wrong passwords.
"""

from __future__ import annotations

from allauth.account.views import reauthenticate
from django.contrib.auth import views
from django.urls import include, path

from accounts import language
from accounts.sign_in import SignInView

sign_in = SignInView.as_view(redirect_authenticated_user=True)
sign_out = views.LogoutView.as_view()

urlpatterns = [
    path("accounts/login/", sign_in, name="login"),
    path("accounts/logout/", sign_out, name="logout"),
    path("accounts/language/", language.choose, name="language"),
    # The names that django-allauth's own pages lead to.
    path("accounts/login/", sign_in, name="account_login"),
    path("accounts/logout/", sign_out, name="account_logout"),
    path("accounts/reauthenticate/", reauthenticate, name="account_reauthenticate"),
    path("accounts/2fa/", include("allauth.mfa.urls")),
]
