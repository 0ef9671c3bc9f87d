"""The routes of the API, and the views that are composed of several apps.

Apps don't import each other, so a rule that spans two is here: API keys need a completed
payment, and failed refreshes count as failed authentications.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.routers import SimpleRouter

from accounts.api import TokenRefreshView, TokenView
from apikeys.api import ApiKeyViewSet
from apikeys.models import Grant
from apikeys.urls import api_urlpatterns as apikeys
from billing.models import Order
from billing.urls import api_urlpatterns as billing
from payflow.conversations import ConversationViewSet
from payflow.http.authentication import count_failed_sign_in
from payflow.openapi.document import schema
from payflow.service.urls import urlpatterns as service


class HasCompletedPayment(BasePermission):
    """The user has, or once had, a completed payment; or an imported grant."""

    message = "API keys come with a completed payment, and you have none yet."
    code = "payment_required"

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whoever has a key has paid: a list asks nothing more."""
        if view.own_keys:
            return True
        user_id = request.user.pk
        return Order.objects.has_paid(user_id) or Grant.objects.owned_by(user_id).exists()


class PaidApiKeyViewSet(ApiKeyViewSet):
    permission_classes = (IsAuthenticated,)

    def get_permissions(self) -> list[BasePermission]:
        """List and create depend on a payment: an id is a 404 unless it is the caller's own."""
        permissions = super().get_permissions()
        return (
            [*permissions, HasCompletedPayment()]
            if self.action in ("list", "create")
            else permissions
        )


@csrf_exempt
def unknown_route(request: HttpRequest) -> HttpResponse:
    """Answer 404 with a problem document, also while DEBUG is on."""
    raise Http404


router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("api-keys", PaidApiKeyViewSet, basename="apikey")
router.register("conversations", ConversationViewSet, basename="conversation")

urlpatterns = [
    *apikeys,  # before the router's: `verify` is no key's id
    *billing,
    *service,
    *router.urls,
    path("auth/token", TokenView.as_view()),
    path("auth/token/refresh", TokenRefreshView.as_view(on_failure=count_failed_sign_in)),
    path("schema", schema, name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^[\s\S]*$", unknown_route),
]
