"""Routes of payments: the API's, Stripe's webhook, and the customer's pages."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from billing import views
from billing.api import CheckoutSessionView, OrderViewSet, PaymentLinkView

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("orders", OrderViewSet, basename="order")

api_urlpatterns = [
    path("payments/link", PaymentLinkView.as_view(), name="payment-link"),
    path("checkout-sessions/<str:sessionId>", CheckoutSessionView.as_view()),
    re_path(r"^webhooks/stripe/?$", views.webhook, name="stripe-webhook"),
    *router.urls,
]
urlpatterns = [
    path("conversations/<int:conversation_id>/pay", views.pay, name="pay"),
    path("payments/success", views.success, name="payment-success"),
    path("payments/cancel", views.cancel, name="payment-cancel"),
]
