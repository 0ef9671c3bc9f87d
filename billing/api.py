"""The payment link, and a caller's own orders."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import checkout
from billing.models import Order, OrderQuerySet
from billing.stripe import client
from billing.stripe.objects import DEFAULT_TIER

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class AlreadyPaid(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "already_paid"
    default_detail = "This conversation is paid already."


class PaymentUnderWay(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "payment_under_way"
    default_detail = "A payment of this conversation is on its way: wait until it is confirmed."


class IdempotencyKeyInUse(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_key_in_use"
    default_detail = "A request with this Idempotency-Key is under way: try again in a moment."


class IdempotencyKeyRefused(APIException):
    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "idempotency_key_refused"


class StripeFailed(APIException):
    status_code = status.HTTP_500_INTERNAL_SERVER_ERROR
    default_code = "stripe_failed"
    default_detail = "The payment provider did not answer as it should. Nothing was changed."


class LinkRequestSerializer(serializers.Serializer[Any]):
    conversationId = serializers.IntegerField(min_value=1)  # noqa: N815 - camelCase API
    tier = serializers.CharField(max_length=64, default=DEFAULT_TIER)


class LinkSerializer(serializers.Serializer[Any]):
    url = serializers.URLField(help_text="Stripe's hosted page: send the customer there.")
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
                description="A repeat with the same key and body returns the same session.",
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Create a Checkout Session to pay one of the caller's conversations with."""
        body = LinkRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        session = _start(
            request,
            conversation_id=body.validated_data["conversationId"],
            tier=body.validated_data["tier"],
        )
        return Response({"url": session.url, "sessionId": session.id})


def _start(request: Request, *, conversation_id: int, tier: str) -> client.CreatedSession:
    try:
        return checkout.start_checkout(
            checkout.Customer.of(request.user),
            conversation_id,
            tier=tier,
            idempotency_key=_idempotency_key(request),
        )
    except checkout.UnknownTier:
        raise ValidationError({"tier": [f"There is no tier {tier}."]}, "unknown_tier") from None
    except checkout.ConversationNotFound:
        raise NotFound("You have no such conversation.") from None
    except checkout.AlreadyPaid:
        raise AlreadyPaid from None
    except checkout.PaymentUnderWay:
        raise PaymentUnderWay from None
    except client.IdempotencyKeyReused:
        detail = "This Idempotency-Key was used before for a different request."
        raise IdempotencyKeyRefused(detail) from None
    except client.IdempotencyKeyInUse:
        raise IdempotencyKeyInUse from None
    except client.StripeFailed:
        raise StripeFailed from None


def _idempotency_key(request: Request) -> str | None:
    key: str | None = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyRefused("An Idempotency-Key is 1 to 255 visible ASCII characters.")
    return key


class OrderSerializer(serializers.ModelSerializer[Order]):
    conversationId = serializers.IntegerField(source="conversation_id")  # noqa: N815
    sessionId = serializers.CharField(source="stripe_session_id")  # noqa: N815
    amountCents = serializers.IntegerField(source="amount_cents")  # noqa: N815
    apiKeyId = serializers.IntegerField(source="issued_key_id", allow_null=True)  # noqa: N815
    duplicate = serializers.BooleanField(source="is_duplicate")
    refundedCents = serializers.IntegerField(source="refunded_cents")  # noqa: N815
    disputeStatus = serializers.CharField(  # noqa: N815
        source="dispute_status", help_text="Stripe's word for its most_severe dispute; empty: none."
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
