"""API: the payment link, and the caller's orders."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers, viewsets
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from billing import checkout
from billing.models import DisputeStatus, OrderStatus
from billing.stripe import client
from billing.stripe.objects import DEFAULT_TIER
from restapi.bodies import RequestBody
from restapi.exceptions import Refused
from restapi.lists import Filters, Page, Rows
from restapi.schema import operation
from restapi.views import ApiView


class LinkRequest(RequestBody):
    conversationId = serializers.IntegerField(  # noqa: N815 - camelCase API
        min_value=1, help_text="A conversation of the caller's."
    )
    tier = serializers.CharField(
        max_length=64, default=DEFAULT_TIER, help_text="What is bought; the server has its price."
    )


class PaymentLinkSerializer(serializers.Serializer[Any]):
    url = serializers.URLField(
        help_text="Stripe's hosted payment page: redirect the customer to it."
    )
    sessionId = serializers.CharField(help_text="Of Stripe's Checkout Session.")  # noqa: N815


class PaymentLinkView(ApiView):
    @operation(
        "payment_link_create",
        request=LinkRequest,
        response=PaymentLinkSerializer,
        problems=(
            *("not_found", "already_paid", "payment_under_way", "stripe_failed"),
            *("idempotency_key_in_use", "session_expired", "checkout_closed", "stripe_busy"),
        ),
        idempotent=True,
    )
    def post(self, request: Request) -> Response:
        """Create a payment link.

        Redirect the customer to its `url`, a Checkout Session for one of the caller's
        conversations. A conversation's newer link ends the older one. A repeat with the same
        `Idempotency-Key` and body returns the same session, while it can be paid.
        """
        body = LinkRequest.read(request)
        try:
            session = checkout.start_checkout(
                checkout.Customer.of(request.user),
                body["conversationId"],
                tier=body["tier"],
                idempotency_key=request.headers.get("Idempotency-Key"),
            )
        except (checkout.CheckoutError, client.StripeFailed) as error:
            raise _api_exception(error) from None
        return Response({"url": session.url, "sessionId": session.id})


def _api_exception(error: checkout.CheckoutError | client.StripeFailed) -> APIException:
    if isinstance(error, checkout.UnknownTier):
        return ValidationError({"tier": [error.detail]}, error.code)
    refused = Refused(error.code, error.detail)
    refused.wait = getattr(error, "retry_after", None)  # as Throttled
    return refused


class OrderSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    conversationId = serializers.IntegerField()  # noqa: N815
    sessionId = serializers.CharField()  # noqa: N815
    amountCents = serializers.IntegerField(  # noqa: N815
        help_text="In the currency's smallest unit."
    )
    currency = serializers.CharField(help_text="Three letters, as Stripe reports it.")
    status = serializers.ChoiceField(choices=OrderStatus.choices)
    tier = serializers.CharField()
    duplicate = serializers.BooleanField(
        help_text="Another order pays for the conversation: this one is to be refunded."
    )
    apiKeyId = serializers.IntegerField(  # noqa: N815
        allow_null=True, help_text="The key that the payment made."
    )
    refundedCents = serializers.IntegerField(help_text="Refunded so far.")  # noqa: N815
    disputeStatus = serializers.ChoiceField(  # noqa: N815
        choices=DisputeStatus.choices,
        allow_null=True,
        help_text="Stripe's status of the most severe dispute; null without one.",
    )
    paidAt = serializers.DateTimeField(allow_null=True)  # noqa: N815
    createdAt = serializers.DateTimeField()  # noqa: N815


@extend_schema_serializer(many=False)
class OrderListSerializer(Page):
    orders = OrderSerializer(many=True)


class OrderFilters(Filters):
    status = serializers.ChoiceField(
        choices=OrderStatus.choices, source="status = %s", required=False
    )
    conversationId = serializers.IntegerField(  # noqa: N815
        source="conversation_id = %s", required=False, min_value=1
    )


ROWS = Rows(
    "orders",
    table="orders",
    columns={
        "id": "id",
        "conversationId": "conversation_id",
        "sessionId": "stripe_session_id",
        "amountCents": "amount_cents",
        "currency": "currency",
        "status": "status",
        "tier": "tier",
        "duplicate": "is_duplicate",
        # `Grant.issued_key` as SQL.
        "apiKeyId": "(SELECT min(k.id) FROM api_keys AS k WHERE k.grant_id = orders.grant_id)",
        "refundedCents": "refunded_cents",
        "disputeStatus": "NULLIF(dispute_status, '')",
        "paidAt": "paid_at",
        "createdAt": "created_at",
    },
    filters=OrderFilters,
)


class OrderViewSet(ApiView, viewsets.ViewSet):
    rows = ROWS
    lookup_value_converter = "int"

    @operation("orders_list", response=OrderListSerializer, filters=OrderFilters)
    def list(self, request: Request) -> Response:
        """List orders.

        The caller's own, newest first, in pages: one for each payment that was completed, is
        pending or failed. Filters combine.
        """
        return ROWS.page(request)

    @operation("orders_retrieve", response=OrderSerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """Read an order.

        It says what became of its payment: refunds, disputes, the key that it made.
        """
        return Response(ROWS.one(request.user.pk, pk))
