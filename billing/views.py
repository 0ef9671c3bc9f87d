"""The webhook endpoint, and the pages of a payment."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.transaction import non_atomic_requests
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from rest_framework.exceptions import APIException, ParseError

from billing import checkout
from billing.events import log
from billing.models import Order
from billing.stripe import client
from billing.stripe.objects import DEFAULT_TIER

logger = logging.getLogger(__name__)


# The page and the status for each reason why there is no payment page, by its code.
REFUSALS = {
    "already_paid": ("payment_not_needed.html", 409),
    "payment_under_way": ("payment_under_way.html", 409),
    "checkout_closed": ("payment_refused.html", 403),
    "throttled": ("payment_refused.html", 429),
    "stripe_busy": ("payment_unavailable.html", 503),
}


class NotProcessed(APIException):
    status_code = 500
    default_code = "event_not_processed"
    default_detail = "The event is stored, but processing it failed: send it again."


@non_atomic_requests  # with ATOMIC_REQUESTS, a failed handler would roll back the stored event
@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> JsonResponse:
    """`POST /api/webhooks/stripe`: verify the raw bytes, store the event, handle it."""
    event = _stored_event(request)
    try:
        log.process_new(event)
    except log.ProcessingFailed:
        raise NotProcessed from None
    return JsonResponse({"received": True})


def _stored_event(request: HttpRequest) -> dict[str, Any]:
    """Verify and store the request's event. Raises ParseError."""
    try:
        event = client.verify(request.body, request.headers.get("Stripe-Signature", ""))
        return log.record(event)
    except client.InvalidSignature as reason:
        logger.warning("A webhook was refused: %s", reason.__cause__ or reason)
        raise ParseError(str(reason), "invalid_signature") from None
    except log.MalformedEvent as reason:
        logger.error("A signed event was refused: %s", reason)  # noqa: TRY400 - no traceback needed
        raise ParseError(str(reason), "malformed_event") from None
    except (ValueError, RecursionError):
        logger.error("A signed body was refused: it is not JSON")  # noqa: TRY400
        raise ParseError("The body is not readable JSON.", "malformed_event") from None


@login_required
@require_POST
def pay(request: HttpRequest, conversation_id: int) -> HttpResponse:
    """The Pay button: redirect to Stripe's hosted page."""
    customer = checkout.Customer.of(request.user)
    try:
        session = checkout.start_checkout(customer, conversation_id, tier=DEFAULT_TIER)
    except checkout.ConversationNotFound:
        raise Http404 from None
    except (checkout.CheckoutError, client.StripeFailed) as error:
        return _refusal(request, error)
    return HttpResponseRedirect(session.url)


def _refusal(
    request: HttpRequest, error: checkout.CheckoutError | client.StripeFailed
) -> HttpResponse:
    template, status = REFUSALS.get(error.code, ("payment_unavailable.html", 502))
    response = render(request, template, {"detail": error.detail}, status=status)
    if seconds := getattr(error, "retry_after", None):
        response.headers["Retry-After"] = str(seconds)
    return response


@login_required
@never_cache
@require_safe
def success(request: HttpRequest) -> HttpResponse:
    """The page that Checkout returns to: wait for the order, then offer to reveal its key.

    A GET reveals nothing, and knowing the session id is not enough: the order must belong to the
    signed-in user.
    """
    order: Order | None = None
    expired = False
    try:
        order = checkout.confirm(request.user.pk, request.GET.get("session_id", ""))
    except checkout.ConversationNotFound:
        raise Http404 from None
    except checkout.SessionExpired:
        expired = True
    except (client.StripeFailed, checkout.TooManyRequests):
        pass  # the webhook will deliver the result; the page reloads until then
    key = order.grant.issued_key if order and order.grant else None
    context = {"order": order, "expired": expired, "key": key}
    return render(request, "payment_success.html", context)


@require_safe
def cancel(request: HttpRequest) -> HttpResponse:
    return render(request, "payment_cancel.html")
