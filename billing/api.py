"""API: the payment link, and the caller's orders."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers, viewsets
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from billing import checkout
from billing.models import OPEN_DISPUTE, DisputeStatus, OrderState, OrderStatus, SessionState
from billing.stripe import client
from billing.stripe.objects import DEFAULT_TIER
from restapi.bodies import RequestBody
from restapi.exceptions import Refused
from restapi.lists import Filters, Page, Rows
from restapi.schema import operation
from restapi.views import ApiView

# The ids of Stripe's Checkout Sessions.
SESSION_ID_PATTERN = r"^cs_[A-Za-z0-9_]{1,200}$"


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
    state = serializers.ChoiceField(
        choices=OrderState.choices,
        help_text="The status together with refunds and disputes: what became of the money.",
    )
    tier = serializers.CharField()
    duplicate = serializers.BooleanField(
        help_text="Another order pays for the conversation: this one is to be refunded."
    )
    apiKeyId = serializers.IntegerField(  # noqa: N815
        allow_null=True, help_text="The key that the payment made."
    )
    refundedCents = serializers.IntegerField(help_text="Refunded so far.")  # noqa: N815
    refundedAt = serializers.DateTimeField(  # noqa: N815
        allow_null=True, help_text="When it was refunded in full."
    )
    disputeStatus = serializers.ChoiceField(  # noqa: N815
        choices=DisputeStatus.choices,
        allow_null=True,
        help_text="Stripe's status of the most severe dispute; null without one.",
    )
    receiptUrl = serializers.URLField(  # noqa: N815
        allow_null=True,
        help_text="Stripe's receipt, a page that whoever has the URL can read. The URL ends after "
        "some weeks. Null while Stripe's event of the charge has not arrived.",
    )
    paidAt = serializers.DateTimeField(allow_null=True)  # noqa: N815
    createdAt = serializers.DateTimeField()  # noqa: N815


@extend_schema_serializer(many=False)
class OrderListSerializer(Page):
    orders = OrderSerializer(many=True)


@extend_schema_field({"type": "string", "pattern": SESSION_ID_PATTERN})
class SessionIdField(serializers.RegexField):
    def __init__(self, **options: Any) -> None:
        super().__init__(SESSION_ID_PATTERN, trim_whitespace=False, **options)


class OrderFilters(Filters):
    status = serializers.ChoiceField(
        choices=OrderStatus.choices, source="status = %(status)s", required=False
    )
    conversationId = serializers.IntegerField(  # noqa: N815
        source="conversation_id = %(conversationId)s", required=False, min_value=1
    )
    sessionId = SessionIdField(source="stripe_session_id = %(sessionId)s", required=False)  # noqa: N815


# `Order.state` as SQL; a test compares the two.
_STATE = f"""CASE
    WHEN dispute_status IN ({", ".join(f"'{status}'" for status in OPEN_DISPUTE)}) THEN 'disputed'
    WHEN dispute_status = 'lost' THEN 'lost'
    WHEN refunded_at IS NOT NULL THEN 'refunded'
    WHEN refunded_cents <> 0 THEN 'partly_refunded'
    WHEN is_duplicate THEN 'duplicate'
    ELSE status END"""

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
        "state": _STATE,
        "tier": "tier",
        "duplicate": "is_duplicate",
        # `Grant.issued_key` as SQL.
        "apiKeyId": "(SELECT min(k.id) FROM api_keys AS k WHERE k.grant_id = orders.grant_id)",
        "refundedCents": "refunded_cents",
        "refundedAt": "refunded_at",
        "disputeStatus": "NULLIF(dispute_status, '')",
        "receiptUrl": "NULLIF(receipt_url, '')",
        "paidAt": "paid_at",
        "createdAt": "created_at",
    },
    filters=OrderFilters,
)


class OrderViewSet(ApiView, viewsets.ViewSet):
    rows = ROWS
    lookup_value_converter = "int"

    @operation("orders_list", response=OrderListSerializer, filters=OrderFilters)
    def list(self, request: Request) -> HttpResponse:
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


class CheckoutSessionSerializer(serializers.Serializer[Any]):
    """Describes what `CheckoutSessionView` answers."""

    sessionId = serializers.CharField()  # noqa: N815
    state = serializers.ChoiceField(
        choices=SessionState.choices,
        help_text="`open`: not paid so far. `pending`: a delayed payment method, to be confirmed. "
        "`completed`, `failed`: see the order. `expired`: it can't be paid any more.",
    )
    order = OrderSerializer(allow_null=True, help_text="Null while nothing was paid.")
    apiKeyId = serializers.IntegerField(  # noqa: N815
        allow_null=True, help_text="The key to reveal."
    )


class CheckoutSessionView(ApiView):
    @extend_schema(
        parameters=[
            OpenApiParameter(
                "sessionId",
                {"type": "string", "pattern": SESSION_ID_PATTERN},
                OpenApiParameter.PATH,
                description="The `sessionId` of a payment link, which Checkout returns with.",
            )
        ]
    )
    @operation(
        "checkout_sessions_retrieve",
        response=CheckoutSessionSerializer,
        problems=("stripe_failed", "stripe_busy"),
    )
    def get(self, request: Request, sessionId: str) -> Response:  # noqa: N803
        """Confirm a payment.

        For the page that Checkout returns to. Asks Stripe where its event is late, and completes
        the order as the event would: read it again, every two seconds or so, while it is `open` or
        `pending`. An account has a limit of how often it makes this server ask.
        """
        try:
            order = checkout.confirm(request.user.pk, sessionId)
        except checkout.SessionOpen:
            return Response(_session_answer(sessionId, SessionState.OPEN, None))
        except checkout.SessionExpired:
            return Response(_session_answer(sessionId, SessionState.EXPIRED, None))
        except (checkout.CheckoutError, client.StripeFailed) as error:
            raise _api_exception(error) from None
        row = ROWS.one(request.user.pk, order.pk)
        return Response(_session_answer(sessionId, SessionState(row["status"]), row))


def _session_answer(
    session_id: str, state: SessionState, order: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "sessionId": session_id,
        "state": state.value,
        "order": order,
        "apiKeyId": order["apiKeyId"] if order else None,
    }
