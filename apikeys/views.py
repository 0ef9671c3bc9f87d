"""The API keys page of a signed-in customer.

A secret is rendered only into the response to a POST, never into a redirect, a URL or a message
cookie. Caches must not store the page.
"""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from apikeys import errors, services
from apikeys.forms import GRACE_PERIODS, NameForm, NewKeyForm, RotationForm, form_token
from apikeys.models import ApiKey


@login_required
@never_cache
@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    return _page(request, NewKeyForm())


@login_required
@never_cache
@require_POST
@sensitive_post_parameters("form_token")
@sensitive_variables("secret")
def create(request: HttpRequest) -> HttpResponse:
    form = NewKeyForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=400)
    try:
        key, secret = services.create(
            user_id=request.user.pk or 0,
            name=form.cleaned_data["name"],
            expires_at=form.expires_at(),
            token=form_token(request),
        )
    except errors.NotEntitled as error:
        return _page(request, form, error.detail, status=403)
    except errors.ApiKeyError as error:
        return _page(request, form, error.detail, status=409)
    return _revealed(request, key, secret)


@login_required
@never_cache
@require_POST
@sensitive_post_parameters("form_token")
@sensitive_variables("secret")
def reveal(request: HttpRequest, key_id: int) -> HttpResponse:
    try:
        key, secret = services.reveal(
            user_id=request.user.pk, key_id=key_id, token=form_token(request)
        )
    except errors.KeyNotFound:
        raise Http404 from None
    except errors.AlreadyRevealed:
        return render(request, "key_already_revealed.html", status=409)
    except errors.ApiKeyError as error:
        return _page(request, NewKeyForm(), error.detail, status=409)
    return _revealed(request, key, secret)


@login_required
@never_cache
@require_POST
@sensitive_post_parameters("form_token")
@sensitive_variables("secret")
def rotate(request: HttpRequest, key_id: int) -> HttpResponse:
    form = RotationForm(request.POST)
    if not form.is_valid():
        return _page(request, NewKeyForm(), "Choose when the old key stops working.", status=400)
    try:
        key, secret = services.rotate(
            user_id=request.user.pk,
            key_id=key_id,
            grace=form.cleaned_data["grace"],
            token=form_token(request),
        )
    except errors.KeyNotFound:
        raise Http404 from None
    except errors.ApiKeyError as error:
        return _page(request, NewKeyForm(), error.detail, status=409)
    return _revealed(request, key, secret)


@login_required
@require_POST
def rename(request: HttpRequest, key_id: int) -> HttpResponse:
    form = NameForm(request.POST)
    if not form.is_valid():
        return _page(request, NewKeyForm(), " ".join(map(str, form.errors["name"])), status=400)
    try:
        services.rename(user_id=request.user.pk, key_id=key_id, name=form.cleaned_data["name"])
    except errors.KeyNotFound:
        raise Http404 from None
    return redirect("keys")


@require_POST
def delete(request: HttpRequest, key_id: int) -> HttpResponse:
    return _delete(request, key_id, timezone.now())  # before the first query


@login_required
def _delete(request: HttpRequest, key_id: int, requested_at: datetime) -> HttpResponse:
    try:
        services.delete(user_id=request.user.pk, key_id=key_id, requested_at=requested_at)
    except errors.KeyNotFound:
        raise Http404 from None
    except errors.ApiKeyError as error:
        return _page(request, NewKeyForm(), error.detail, status=409)
    return redirect("keys")


def _page(
    request: HttpRequest, form: NewKeyForm, error: str = "", *, status: int = 200
) -> HttpResponse:
    own = ApiKey.objects.owned_by(request.user.pk).listed(timezone.now()).order_by("-id")
    context = {"keys": own, "form": form, "error": error, "grace_periods": GRACE_PERIODS}
    return render(request, "keys.html", context, status=status)


@sensitive_variables("secret")
def _revealed(request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
    api_url = request.build_absolute_uri(reverse("conversation-list"))
    return render(request, "key_revealed.html", {"key": key, "secret": secret, "api_url": api_url})
