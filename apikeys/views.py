"""The pages of a signed-in customer's API keys.

A secret is rendered only into the response to a POST, never into a redirect, a URL or a message
cookie. Caches must not store the page. A GET of an action's address changes nothing: it shows the
action's form, to who was asked to sign in before it was done, too.
"""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from apikeys import errors, services
from apikeys.forms import GRACE_PERIODS, NameForm, NewKeyForm, RotationForm, form_token, token_for
from apikeys.models import ApiKey, Grant

action_methods = require_http_methods(["GET", "HEAD", "POST"])


@login_required
@never_cache
@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    return _page(request, NewKeyForm())


@login_required
@never_cache
@action_methods
@sensitive_post_parameters("form_token")
@sensitive_variables("secret")
def create(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request, NewKeyForm(), undone=True)
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
@action_methods
@sensitive_post_parameters("form_token")
@sensitive_variables("secret")
def reveal(request: HttpRequest, key_id: int) -> HttpResponse:
    if request.method != "POST":
        return _action(request, key_id, "reveal")
    try:
        key, secret = services.reveal(
            user_id=request.user.pk, key_id=key_id, token=form_token(request)
        )
    except errors.KeyNotFound:
        raise Http404 from None
    except errors.AlreadyRevealed:
        return _show_again(request, key_id)
    except errors.ApiKeyError as error:
        return _page(request, NewKeyForm(), error.detail, status=409)
    return _revealed(request, key, secret)


@sensitive_variables("secret", "requests")
def _show_again(request: HttpRequest, key_id: int) -> HttpResponse:
    """Show a key that a form of this browser has just made, if its answer was lost."""
    own = ApiKey.objects.owned_by(request.user.pk)
    key = own.get(pk=key_id)
    before = own.filter(pk__lt=key_id).order_by("-pk").values_list("pk", flat=True).first()
    requests = [
        ("reveal", key_id, token_for(request, "reveal", key_id)),
        ("rotate", key.predecessor_id, token_for(request, "rotate", key.predecessor_id)),
        ("create", None, token_for(request, "create", before)),
    ]
    try:
        key, secret = services.show_again(user_id=request.user.pk, key_id=key_id, requests=requests)
    except errors.ApiKeyError:
        return _action(request, key_id, "reveal", status=409)
    return _revealed(request, key, secret)


@login_required
@never_cache
@action_methods
@sensitive_post_parameters("form_token")
@sensitive_variables("secret")
def rotate(request: HttpRequest, key_id: int) -> HttpResponse:
    if request.method != "POST":
        return _action(request, key_id, "rotate")
    form = RotationForm(request.POST)
    if not form.is_valid():
        error = _("Choose when the old key stops working.")
        return _action(request, key_id, "rotate", error, status=400)
    try:
        key, secret = services.rotate(
            user_id=request.user.pk,
            key_id=key_id,
            grace=form.cleaned_data["grace"],
            token=form_token(request),
        )
    except errors.KeyNotFound:
        raise Http404 from None
    except errors.ApiKeyError as refusal:
        return _page(request, NewKeyForm(), refusal.detail, status=409)
    return _revealed(request, key, secret)


@login_required
@never_cache
@action_methods
def rename(request: HttpRequest, key_id: int) -> HttpResponse:
    if request.method != "POST":
        return _action(request, key_id, "rename")
    form = NameForm(request.POST)
    if not form.is_valid():
        error = " ".join(map(str, form.errors["name"]))
        return _action(request, key_id, "rename", error, status=400)
    try:
        services.rename(user_id=request.user.pk, key_id=key_id, name=form.cleaned_data["name"])
    except errors.KeyNotFound:
        raise Http404 from None
    return redirect("keys")


@never_cache
@action_methods
def delete(request: HttpRequest, key_id: int) -> HttpResponse:
    return _delete(request, key_id, timezone.now())  # before the first query


@login_required
def _delete(request: HttpRequest, key_id: int, requested_at: datetime) -> HttpResponse:
    if request.method != "POST":
        return _action(request, key_id, "delete")
    try:
        services.delete(user_id=request.user.pk, key_id=key_id, requested_at=requested_at)
    except errors.KeyNotFound:
        raise Http404 from None
    except errors.ApiKeyError as error:
        return _page(request, NewKeyForm(), error.detail, status=409)
    return redirect("keys")


def _page(
    request: HttpRequest,
    form: NewKeyForm,
    error: object = "",
    *,
    undone: bool = False,
    status: int = 200,
) -> HttpResponse:
    """The list of keys, with the form to create one for who may."""
    own = ApiKey.objects.owned_by(request.user.pk).listed(timezone.now()).order_by("-id")
    grants = Grant.objects.owned_by(request.user.pk)
    context = {
        "keys": own,
        "may_create": grants.usable().exists(),
        "has_paid": grants.not_revoked().exists(),
        "had_paid": grants.exists(),
        "form": form,
        "newest": ApiKey.objects.owned_by(request.user.pk).aggregate(id=Max("pk"))["id"],
        "error": error,
        "undone": undone,
    }
    return render(request, "keys.html", context, status=status)


def _action(
    request: HttpRequest, key_id: int, action: str, error: str = "", *, status: int = 200
) -> HttpResponse:
    """The page of an action on a key: what it does, and its form."""
    own = ApiKey.objects.owned_by(request.user.pk).listed(timezone.now())
    key = own.filter(pk=key_id).first()
    if key is None:
        raise Http404
    context = {
        "keys": [key],
        "action": action,
        "error": error,
        "grace_periods": GRACE_PERIODS,
    }
    return render(request, "key_action.html", context, status=status)


@sensitive_variables("secret")
def _revealed(request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
    api_url = request.build_absolute_uri(reverse("conversation-list"))
    context = {"keys": [key], "secret": secret, "api_url": api_url}
    return render(request, "key_revealed.html", context)
