"""The API put together: which view stands where, in which pages and under which permission.

Rules that span apps live here, because the apps do not know each other: a caller's API keys may
be seen only once a payment of theirs was completed.
"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from accounts.api import TokenRefreshView, TokenView
from apikeys.api import ApiKeyViewSet
from apikeys.forward_auth import verify
from apikeys.throttling import FailureThrottle
from billing.api import OrderViewSet, PaymentLinkView
from billing.models import Order
from billing.views import webhook
from conversations.api import ConversationViewSet
from payflow.http.authentication import count_failed_sign_in
from payflow.http.pagination import NewestFirstPagination

# Fixed: drf-spectacular would take it from the query and put it into a header.
SCHEMA_VERSION = "1.0.0"


class HasCompletedPayment(BasePermission):
    """Has had a payment completed, whatever became of it later."""

    message = "API keys come with a completed payment, and you have none yet."
    code = "payment_required"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return Order.objects.owned_by(request.user.pk).completed().exists()


class ConversationPages(NewestFirstPagination):
    list_name = "conversations"


class OrderPages(NewestFirstPagination):
    list_name = "orders"


class PagedConversationViewSet(ConversationViewSet):
    pagination_class = ConversationPages


class PagedOrderViewSet(OrderViewSet):
    pagination_class = OrderPages


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
    """Also while DEBUG is on, when Django would answer with a page of its own."""
    raise Http404


router = SimpleRouter(trailing_slash=False)
router.register("conversations", PagedConversationViewSet)
router.register("orders", PagedOrderViewSet)
router.register("api-keys", PaidApiKeyViewSet)

urlpatterns = [
    path(
        "auth/token",
        TokenView.as_view(throttle_classes=[FailureThrottle], on_failure=count_failed_sign_in),
    ),
    path("auth/token/refresh", TokenRefreshView.as_view(on_failure=count_failed_sign_in)),
    re_path(r"^api-keys/verify(?P<below>/[\s\S]*)?$", verify, name="verify"),
    path("payments/link", PaymentLinkView.as_view()),
    re_path(r"^webhooks/stripe/?$", webhook, name="stripe-webhook"),
    path("schema", SpectacularAPIView.as_view(api_version=SCHEMA_VERSION), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("", include(router.urls)),
    re_path(r"^[\s\S]*$", unknown_route),
]
