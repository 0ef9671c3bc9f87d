"""API: the payment link, and the caller's orders."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import checkout
from billing.models import Order, OrderQuerySet
from billing.stripe import client
from billing.stripe.objects import DEFAULT_TIER

# The HTTP status of each error of checkout and the Stripe client, by its code.
STATUS_CODES = {
    "not_found": 404,
    "already_paid": 409,
    "payment_under_way": 409,
    "session_expired": 409,
    "idempotency_key_in_use": 409,
    "idempotency_key_refused": 400,
    "stripe_failed": 500,
    "stripe_busy": 503,
    "throttled": 429,
    "checkout_closed": 403,
}


class LinkRequestSerializer(serializers.Serializer[Any]):
    conversationId = serializers.IntegerField(min_value=1)  # noqa: N815 - camelCase API
    tier = serializers.CharField(max_length=64, default=DEFAULT_TIER)


class LinkSerializer(serializers.Serializer[Any]):
    url = serializers.URLField(
        help_text="Stripe's hosted payment page: redirect the customer to it."
    )
    sessionId = serializers.CharField()  # noqa: N815


class PaymentLinkView(APIView):
    @extend_schema(
        operation_id="payment_link_create",
        request=LinkRequestSerializer,
        responses={200: LinkSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                location=OpenApiParameter.HEADER,
                description=(
                    "A repeat with the same key and body returns the same session, and 409 "
                    "`session_expired` once it has ended."
                ),
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Create a Checkout Session to pay one of the caller's conversations with."""
        body = LinkRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            session = checkout.start_checkout(
                checkout.Customer.of(request.user),
                body.validated_data["conversationId"],
                tier=body.validated_data["tier"],
                idempotency_key=request.headers.get("Idempotency-Key"),
            )
        except (checkout.CheckoutError, client.StripeFailed) as error:
            raise _api_exception(error) from None
        return Response({"url": session.url, "sessionId": session.id})


def _api_exception(error: checkout.CheckoutError | client.StripeFailed) -> APIException:
    if isinstance(error, checkout.UnknownTier):
        return ValidationError({"tier": [error.detail]}, error.code)
    exception = APIException(error.detail, error.code)
    exception.status_code = STATUS_CODES[error.code]
    exception.wait = getattr(error, "retry_after", None)  # type: ignore[attr-defined]  # as Throttled
    return exception


class OrderSerializer(serializers.ModelSerializer[Order]):
    conversationId = serializers.IntegerField(source="conversation_id")  # noqa: N815
    sessionId = serializers.CharField(source="stripe_session_id")  # noqa: N815
    amountCents = serializers.IntegerField(source="amount_cents")  # noqa: N815
    apiKeyId = serializers.IntegerField(source="issued_key_id", allow_null=True)  # noqa: N815
    duplicate = serializers.BooleanField(source="is_duplicate")
    refundedCents = serializers.IntegerField(source="refunded_cents")  # noqa: N815
    disputeStatus = serializers.CharField(  # noqa: N815
        source="dispute_status",
        help_text="Stripe's status of the most severe dispute; empty without one.",
    )
    paidAt = serializers.DateTimeField(source="paid_at", allow_null=True)  # noqa: N815
    createdAt = serializers.DateTimeField(source="created_at")  # noqa: N815

    class Meta:
        model = Order
        fields = (
            "id",
            "conversationId",
            "sessionId",
            "amountCents",
            "currency",
            "status",
            "tier",
            "duplicate",
            "apiKeyId",
            "refundedCents",
            "disputeStatus",
            "paidAt",
            "createdAt",
        )
        read_only_fields = fields


class OrderViewSet(viewsets.ReadOnlyModelViewSet[Order]):
    queryset = Order.objects.all()
    serializer_class = OrderSerializer
    lookup_value_regex = "[0-9]{1,19}"

    def get_queryset(self) -> OrderQuerySet:
        return Order.objects.owned_by(self.request.user.pk).with_issued_key()
