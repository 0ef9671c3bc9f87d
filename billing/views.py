"""The webhook endpoint, and the pages of a payment."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.transaction import non_atomic_requests
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from rest_framework.exceptions import APIException, ParseError

from billing import checkout
from billing.events import log
from billing.models import Order
from billing.stripe import client
from billing.stripe.objects import DEFAULT_TIER

logger = logging.getLogger(__name__)

MAX_TRIES = 5  # of the success page, within a minute and a half

NO_PAYMENT = _("You cannot pay right now")
# The status, the title and the text of the page that says why there is no payment page, by code.
REFUSALS = {
    "already_paid": (
        409,
        _("This is paid already"),
        _("This conversation needs no other payment. Its key is on the page of your keys."),
    ),
    "payment_under_way": (
        409,
        _("Your payment is on its way"),
        _(
            "You have paid for this conversation with a method that takes a few days to confirm. "
            "If you pay again, you are charged twice. Your key will be on the page of your keys."
        ),
    ),
    "checkout_closed": (
        403,
        NO_PAYMENT,
        _("New customers cannot pay at the moment. Nothing was charged; please try again later."),
    ),
    "throttled": (429, NO_PAYMENT, _("Too many requests. Nothing was charged; try again soon.")),
}
UNAVAILABLE = (
    _("We cannot take payments right now"),
    _("Our payment provider does not answer. Nothing was charged; try again in a few minutes."),
)


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
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, conversation_id: int) -> HttpResponse:
    """The Pay button: redirect to Stripe's hosted page. A GET leads to the button."""
    page = reverse("conversation", args=[conversation_id])
    if request.method != "POST":
        return HttpResponseRedirect(f"{page}?undone")
    customer = checkout.Customer.of(request.user)
    try:
        session = checkout.start_checkout(customer, conversation_id, tier=DEFAULT_TIER)
    except checkout.ConversationNotFound:
        raise Http404 from None
    except (checkout.CheckoutError, client.StripeFailed) as error:
        return _refusal(request, error, page)
    return HttpResponseRedirect(session.url)


def _refusal(
    request: HttpRequest, error: checkout.CheckoutError | client.StripeFailed, page: str
) -> HttpResponse:
    unavailable = (503 if error.code == "stripe_busy" else 502, *UNAVAILABLE)
    status, title, detail = REFUSALS.get(error.code, unavailable)
    context = {"title": title, "detail": detail, "back": page}
    response = render(request, "message.html", context, status=status)
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
    state, conversation_id = "", None
    try:
        order = checkout.confirm(request.user.pk, request.GET.get("session_id", ""))
    except checkout.ConversationNotFound:
        raise Http404 from None
    except checkout.SessionExpired:
        state = "expired"
    except checkout.SessionOpen as unpaid:
        state, conversation_id = "open", unpaid.conversation_id
    except (client.StripeFailed, checkout.TooManyRequests):
        state = "unknown"  # the webhook will deliver the result
    context = {
        "order": order,
        "state": state,
        "conversation_id": order.conversation_id if order else conversation_id,
        "keys": [order.grant.issued_key] if order and order.grant else [],
        "next_try": _next_try(request) if state == "unknown" else None,
    }
    return render(request, "payment_success.html", context)


def _next_try(request: HttpRequest) -> dict[str, Any] | None:
    """When and where the page loads itself again: later each time, and not for ever."""
    try:
        tried = int(request.GET.get("tried", "0"))
    except ValueError:
        tried = MAX_TRIES
    if not 0 <= tried < MAX_TRIES:
        return None
    session_id = str(request.GET.get("session_id", ""))
    query = urlencode([("session_id", session_id), ("tried", str(tried + 1))])
    return {"seconds": 3 * 2**tried, "url": f"{request.path}?{query}"}


@require_safe
def cancel(request: HttpRequest) -> HttpResponse:
    context = {
        "title": _("Nothing was paid"),
        "detail": _("You left the payment page. You can pay at any time from your conversations."),
        "back": reverse("home"),
    }
    return render(request, "message.html", context)
