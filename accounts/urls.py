"""Routes of signing in and out. `payflow.api` has those of tokens: it limits wrong passwords."""

from __future__ import annotations

from django.contrib.auth import views
from django.urls import path

urlpatterns = [
    path(
        "accounts/login/", views.LoginView.as_view(redirect_authenticated_user=True), name="login"
    ),
    path("accounts/logout/", views.LogoutView.as_view(), name="logout"),
]
