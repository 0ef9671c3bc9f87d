"""The pages of a customer's orders: what was paid, refunded and is disputed, and the receipts."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.models import Order
from billing.stripe import client
from payflow.http import problems

MAX_LISTED = 100  # the API lists the rest


@login_required
@never_cache
@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    own = Order.objects.owned_by(request.user.pk).select_related("conversation").order_by("-id")
    return render(request, "orders.html", {"orders": own[:MAX_LISTED]})


@login_required
@never_cache
@require_safe
def order(request: HttpRequest, order_id: int) -> HttpResponse:
    own = Order.objects.owned_by(request.user.pk).select_related("conversation", "grant")
    found = get_object_or_404(own, pk=order_id)
    return render(request, "order.html", {"order": found, "refunds": found.refunds.order_by("pk")})


@login_required
@never_cache
@require_safe
def receipt(request: HttpRequest, order_id: int) -> HttpResponse:
    """Lead to Stripe's receipt. Its address ends after some weeks, so that it is not kept here."""
    found = get_object_or_404(Order.objects.owned_by(request.user.pk), pk=order_id)
    if not found.stripe_payment_intent_id:
        raise Http404
    try:
        url = client.receipt_url(found.stripe_payment_intent_id)
    except client.StripeFailed:
        detail = _("Our payment provider, who has the receipt, does not answer.")
        return problems.error_page(503, detail=detail, back=f"/orders/{order_id}")
    if url is None:
        detail = _("Our payment provider has no receipt for this payment.")
        return problems.error_page(404, detail=detail, back=f"/orders/{order_id}")
    return HttpResponseRedirect(url)
