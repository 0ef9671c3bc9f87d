"""Every route, put together. Pages end with or without a slash as the contract has them."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from payflow import health, metrics
from payflow.accounts import EraseView
from payflow.api import unknown_route
from payflow.http.routes import API_ROOT
from payflow.pages import conversations, orders

urlpatterns = [
    # First, what machines request: routes are tried in this order.
    path(f"{API_ROOT[1:]}/", include("payflow.api")),
    path(API_ROOT[1:], unknown_route),
    path("", conversations.HomeView.as_view(), name="home"),
    path("conversations/<int:conversation_id>", conversations.conversation, name="conversation"),
    path("orders", orders.orders, name="orders"),
    path("orders/<int:order_id>", orders.order, name="order"),
    path("orders/<int:order_id>/receipt", orders.receipt, name="receipt"),
    path("", include("billing.urls")),
    path("", include("apikeys.urls")),
    path("", include("accounts.urls")),
    path("account/erase/", EraseView.as_view(), name="account_erase"),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]

handler400 = "payflow.http.problems.bad_request"
handler403 = "payflow.http.problems.forbidden"
handler404 = "payflow.http.problems.not_found"
handler500 = "payflow.http.problems.server_error"
