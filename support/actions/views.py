"""The confirmation page of a staff action: shows what will happen, then performs it once."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.sign_in import require_reauthentication
from apikeys.secret_patterns import redact
from support.actions.base import ActionRefused, OutcomeUnknown, StaffAction
from support.actions.forms import ReasonForm
from support.actions.perform import perform
from support.models import SupportAction


def confirm(
    request: HttpRequest,
    action_class: type[StaffAction[Any]],
    subject: Model,
    context: dict[str, Any],
) -> HttpResponse:
    staff_action = action_class(subject, list(SupportAction.objects.about(subject)))
    is_post = request.method == "POST"
    initial = {"token": uuid.uuid4(), "next": request.GET.get("next", "")}
    form = staff_action.form(request.POST if is_post else None, initial)
    reason = "" if is_post else staff_action.unavailable_reason()
    given = form.cleaned_data if is_post and form.is_valid() else {}
    if not reason and staff_action.needs_reauthentication(given):
        require_reauthentication(request)
    if is_post and form.is_valid() and _performed(request, staff_action, form):
        return HttpResponseRedirect(_next(request, form.cleaned_data["next"], subject))
    context |= {
        "title": f"{staff_action.label.removesuffix('…')}: {subject}",
        "staff_action": staff_action,
        "subject": subject,
        "unavailable_reason": reason,
        "form": form,
        "back": _next(request, str(form["next"].value() or ""), subject),
    }
    return TemplateResponse(request, "support/confirm_action.html", context)


def _performed(request: HttpRequest, staff_action: StaffAction[Any], form: ReasonForm) -> bool:
    """Perform the action; False when its outcome is unknown and the form stays open.

    What happened is told in a message, or on the form.
    """
    try:
        action = perform(
            staff_action,
            actor=request.user,
            reason=form.cleaned_data["reason"],
            token=form.cleaned_data["token"],
            given=form.cleaned_data,
        )
    except OutcomeUnknown as error:
        form.add_error(None, str(error))
        return False
    except ActionRefused as refusal:
        messages.error(request, redact(str(refusal)))
        return True
    if action.succeeded is None:
        messages.warning(request, "It is in progress already.")
    else:
        messages.success(request, action.outcome)
    return True


def _next(request: HttpRequest, requested: str, subject: Model) -> str:
    """The page that the action was started from if it is on this site, else the row's page."""
    if requested and url_has_allowed_host_and_scheme(requested, {request.get_host()}):
        return requested
    opts = subject._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[subject.pk])
