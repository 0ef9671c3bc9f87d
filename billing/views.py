"""The webhook endpoint, and the pages around a payment."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import RequestDataTooBig
from django.db.transaction import non_atomic_requests
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from rest_framework.exceptions import APIException, ParseError

from billing import checkout
from billing.events import log
from billing.models import Order, OrderStatus
from billing.stripe import client
from billing.stripe.objects import DEFAULT_TIER

logger = logging.getLogger(__name__)


class NotProcessed(APIException):
    default_code = "event_not_processed"
    default_detail = "The event is stored, but processing it failed: send it again."


@non_atomic_requests  # whatever is set: what is stored must outlive a failure to process it
@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> JsonResponse:
    """`POST /api/webhooks/stripe`: verify the raw bytes, store, process, answer."""
    event = _stored_event(request)
    try:
        log.process_new(event)
    except log.ProcessingFailed:
        raise NotProcessed from None
    return JsonResponse({"received": True})


def _stored_event(request: HttpRequest) -> dict[str, Any]:
    """The request's event, which is in the ledger now. Raises ParseError."""
    try:
        event = client.verify(request.body, request.headers.get("Stripe-Signature", ""))
        return log.record(event)
    except RequestDataTooBig:
        raise ParseError("The body is larger than 1 MiB.", "body_too_large") from None
    except client.InvalidSignature as reason:
        logger.warning("A webhook was refused: %s", reason)
        raise ParseError(str(reason), "invalid_signature") from None
    except log.MalformedEvent as reason:
        logger.error("A signed event was refused: %s", reason)  # noqa: TRY400 - its text says all
        raise ParseError(str(reason), "malformed_event") from None
    except (ValueError, RecursionError):
        logger.error("A signed body was refused: it is no JSON")  # noqa: TRY400
        raise ParseError("The body is not readable JSON.", "malformed_event") from None


@login_required
@require_POST
def pay(request: HttpRequest, conversation_id: int) -> HttpResponse:
    """The Pay button: off to the hosted page."""
    customer = checkout.Customer.of(request.user)
    try:
        session = checkout.start_checkout(customer, conversation_id, tier=DEFAULT_TIER)
    except checkout.ConversationNotFound:
        raise Http404 from None
    except checkout.AlreadyPaid:
        return render(request, "payment_not_needed.html", status=409)
    except checkout.PaymentUnderWay:
        return render(request, "payment_under_way.html", status=409)
    except client.StripeFailed:
        return render(request, "payment_unavailable.html", status=502)
    return HttpResponseRedirect(session.url)


@login_required
@never_cache
@require_safe
def success(request: HttpRequest) -> HttpResponse:
    """Where Checkout returns to: waits for the order, then offers to reveal its key.

    A GET reveals nothing, and the session id in its URL proves nothing: the order must be the
    signed-in user's.
    """
    order: Order | None = None
    try:
        order = checkout.confirm(request.user.pk, request.GET.get("session_id", ""))
        state = _state(order)
    except checkout.ConversationNotFound:
        raise Http404 from None
    except checkout.SessionExpired:
        state = "expired"
    except client.StripeFailed:
        state = "confirming"  # the webhook will tell; the page asks again by itself
    key = order.grant.issued_key if order and order.grant else None
    context = {"order": order, "state": state, "key": key}
    return render(request, "payment_success.html", context)


def _state(order: Order | None) -> str:
    if order is None:
        return "confirming"
    if order.status == OrderStatus.COMPLETED:
        return "duplicate" if order.is_duplicate else "paid"
    return str(order.status)


@require_safe
def cancel(request: HttpRequest) -> HttpResponse:
    return render(request, "payment_cancel.html")
