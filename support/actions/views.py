"""The confirmation page: what will happen, to whom, and why; then the deed, once."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from apikeys.secret_patterns import redact
from billing.models import Order
from support import money
from support.actions import base, operations
from support.models import REASON_LENGTH

PENDING = "This refund was asked for before, without an answer: the same one is asked for again."


class ReasonForm(forms.Form):
    token = forms.UUIDField(widget=forms.HiddenInput)
    next = forms.CharField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": REASON_LENGTH}),
    )

    def clean_reason(self) -> str:
        """A reason is kept and read by many: a secret in it is refused, and not shown again."""
        reason = str(self.cleaned_data["reason"])
        clean = redact(reason)
        if clean != reason:
            self.data = {**self.data, "reason": clean}
            raise forms.ValidationError("This contains a key or another secret. Leave it out.")
        return reason


class RefundForm(ReasonForm):
    """`expected_refunded` is what the page showed: a refund by somebody else meanwhile is noticed."""

    expected_refunded = forms.IntegerField(widget=forms.HiddenInput)
    amount = forms.CharField(max_length=20)
    field_order = ("amount", "reason")

    def __init__(self, *args: Any, order: Order, is_pending: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order = order
        if is_pending:
            self.fields["amount"].help_text = PENDING
        self.fields["amount"].label = f"Amount in {order.currency.upper()}"

    def clean_amount(self) -> int:
        try:
            amount = money.parse(self.cleaned_data["amount"], self.order.currency)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        if amount < 1:
            raise forms.ValidationError("A refund is more than nothing.")
        return amount


def confirm(
    request: HttpRequest, action: base.Action, subject: Any, context: dict[str, Any]
) -> HttpResponse:
    form = _form(request, action, subject)
    if request.method == "POST" and form.is_valid():
        done = _perform(request, action, subject, form)
        if done:
            return HttpResponseRedirect(_next(request, form.cleaned_data["next"], subject))
    trail = operations.trail_of(subject)
    context |= {
        "title": f"{action.label.removesuffix('…')}: {subject}",
        "action": action,
        "subject": subject,
        "unavailable_reason": action.unavailable_reason(subject, trail)
        if request.method == "GET"
        else "",
        "form": form,
        "back": _next(request, str(form["next"].value() or ""), subject),
    }
    return TemplateResponse(request, "admin/desk_action.html", context)


def _form(request: HttpRequest, action: base.Action, subject: Any) -> ReasonForm:
    data = request.POST if request.method == "POST" else None
    initial: dict[str, Any] = {"token": uuid.uuid4(), "next": request.GET.get("next", "")}
    if not action.takes_amount:
        return ReasonForm(data, initial=initial)
    trail = operations.trail_of(subject)
    pending = operations.unanswered_refund(subject, trail)
    left = (pending.amount_cents or 0) if pending else operations.refundable(subject, trail)
    initial |= {
        "amount": money.plain(left, subject.currency),
        "expected_refunded": operations.refunded_or_requested(subject, trail),
    }
    if pending:
        initial |= {"token": pending.token, "reason": pending.reason}
    return RefundForm(data, initial=initial, order=subject, is_pending=bool(pending))


def _perform(request: HttpRequest, action: base.Action, subject: Any, form: ReasonForm) -> bool:
    """Whether the page is done with; what happened is told in a message or on the form."""
    given = form.cleaned_data
    try:
        trace = base.perform(
            action,
            subject,
            actor_id=request.user.pk or 0,
            reason=given["reason"],
            token=given["token"],
            refund=_refund_request(given),
        )
    except operations.OutcomeUnknown as error:
        form.add_error(None, str(error))
        return False
    except operations.ActionRefused as refusal:
        messages.error(request, redact(str(refusal)))
        return True
    if trace.succeeded is None:
        messages.warning(request, "It is under way already.")
    else:
        messages.success(request, trace.outcome)
    return True


def _refund_request(given: dict[str, Any]) -> operations.RefundRequest | None:
    if "amount" not in given:
        return None
    return operations.RefundRequest(given["amount"], given["expected_refunded"])


def _next(request: HttpRequest, asked: str, subject: Any) -> str:
    """Back to the page that the action was begun from, if it is one of ours."""
    if asked and url_has_allowed_host_and_scheme(asked, {request.get_host()}):
        return asked
    opts = subject._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[subject.pk])
