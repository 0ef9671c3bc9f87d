"""The routes of the API, and the views that are composed of several apps.

Apps don't import each other, so a rule that spans two is here: API keys need a completed
payment, and failed refreshes count as failed authentications.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any, ClassVar

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import path, re_path
from django.utils.cache import get_conditional_response
from django.utils.encoding import force_bytes
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from accounts.api import TokenRefreshView, TokenView
from apikeys.api import ApiKeyViewSet
from apikeys.urls import api_urlpatterns as apikeys
from billing.models import Order
from billing.urls import api_urlpatterns as billing
from payflow.conversations import ConversationViewSet
from payflow.http.authentication import count_failed_sign_in

# Fixed: drf-spectacular would take it from the query and put it into a header.
SCHEMA_VERSION = "1.0.0"


class HasCompletedPayment(BasePermission):
    """The user has, or once had, a completed payment."""

    message = "API keys come with a completed payment, and you have none yet."
    code = "payment_required"

    def has_permission(self, request: Request, view: APIView) -> bool:
        return Order.objects.has_paid(request.user.pk)


class PaidApiKeyViewSet(ApiKeyViewSet):
    permission_classes = (IsAuthenticated,)
    pagination_class = None  # a user has few keys: the list is whole

    def get_permissions(self) -> list[BasePermission]:
        """List and create depend on a payment: an id is a 404 unless it is the caller's own."""
        permissions = super().get_permissions()
        return (
            [*permissions, HasCompletedPayment()]
            if self.action in ("list", "create")
            else permissions
        )


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, made once in a process for each format: that takes 34 ms."""

    documents: ClassVar[dict[str, tuple[bytes, dict[str, str]]]] = {}  # by media type
    # drf-spectacular can't make two at once: requests of a fresh process failed.
    making: ClassVar[threading.Lock] = threading.Lock()

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase | None:
        media_type = request.accepted_renderer.media_type
        with self.making:
            if media_type not in self.documents:
                self.documents[media_type] = self._document(request)
        content, headers = self.documents[media_type]
        response = HttpResponse(content, headers=headers)
        asked = request._request
        return get_conditional_response(asked, etag=headers["ETag"], response=response)

    def _document(self, request: Request) -> tuple[bytes, dict[str, str]]:
        """The document and the headers of its answer."""
        made = super().get(request)  # type: ignore[no-untyped-call]  # not typed
        renderer = request.accepted_renderer
        content = force_bytes(renderer.render(made.data, renderer.media_type, {}))
        headers = {
            "Content-Type": str(renderer.media_type),
            "Content-Disposition": made.headers["Content-Disposition"],
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        }
        return content, headers


@csrf_exempt
def unknown_route(request: HttpRequest) -> HttpResponse:
    """Answer 404 with a problem document, also while DEBUG is on."""
    raise Http404


router = SimpleRouter(trailing_slash=False)
router.register("api-keys", PaidApiKeyViewSet)
router.register("conversations", ConversationViewSet)

urlpatterns = [
    *apikeys,  # before the router's: `verify` is no key's id
    *billing,
    *router.urls,
    path("auth/token", TokenView.as_view()),
    path("auth/token/refresh", TokenRefreshView.as_view(on_failure=count_failed_sign_in)),
    path("schema", SchemaView.as_view(api_version=SCHEMA_VERSION), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^[\s\S]*$", unknown_route),
]
