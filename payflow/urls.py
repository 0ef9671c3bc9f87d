"""Every route. Pages end with or without a slash as the contract has them."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from apikeys import views as keys
from billing import views as billing
from conversations.views import HomeView
from payflow import health
from payflow.api import unknown_route

urlpatterns = [
    # First, what machines ask for: routes are tried one after the other.
    path("api/", include("payflow.api")),
    path("api", unknown_route),
    path("", HomeView.as_view(), name="home"),
    path("conversations/<int:conversation_id>/pay", billing.pay, name="pay"),
    path("payments/success", billing.success, name="payment-success"),
    path("payments/cancel", billing.cancel, name="payment-cancel"),
    path("keys", keys.keys, name="keys"),
    path("keys/create", keys.create, name="key-create"),
    path("keys/<int:key_id>/reveal", keys.reveal, name="key-reveal"),
    path("keys/<int:key_id>/rename", keys.rename, name="key-rename"),
    path("keys/<int:key_id>/rotate", keys.rotate, name="key-rotate"),
    path("keys/<int:key_id>/delete", keys.delete, name="key-delete"),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
]

handler400 = "payflow.http.problems.bad_request"
handler403 = "payflow.http.problems.forbidden"
handler404 = "payflow.http.problems.not_found"
handler500 = "payflow.http.problems.server_error"
