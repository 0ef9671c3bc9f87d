"""The signed-in customer's page of keys.

A secret is rendered into the answer to a POST and nowhere else: not into a redirect, a URL or a
message cookie; the page may not be stored by any cache.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from apikeys import services
from apikeys.models import ApiKey


@login_required
@never_cache
@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    own = ApiKey.objects.owned_by(request.user.pk).not_revoked().order_by("-id")
    return render(request, "keys.html", {"keys": own})


@login_required
@never_cache
@require_POST
@sensitive_variables("secret")
def reveal(request: HttpRequest, key_id: int) -> HttpResponse:
    try:
        key, secret = services.reveal(user_id=request.user.pk, key_id=key_id)
    except services.KeyNotFound:
        raise Http404 from None
    except services.AlreadyRevealed:
        return render(request, "key_shown_before.html", status=409)
    api = request.build_absolute_uri("/api/conversations")
    return render(request, "key_revealed.html", {"key": key, "secret": secret, "api": api})


@login_required
@require_POST
def delete(request: HttpRequest, key_id: int) -> HttpResponse:
    try:
        services.revoke(user_id=request.user.pk, key_id=key_id, reason=services.REVOKED_BY_OWNER)
    except services.KeyNotFound:
        raise Http404 from None
    return redirect("keys")
