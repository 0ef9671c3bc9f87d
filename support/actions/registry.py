"""The staff actions, in the order in which pages offer them. A new class gets a line here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from support.actions.base import StaffAction
from support.actions.checkout import CloseCheckout, OpenCheckout
from support.actions.events import ReplayEvent
from support.actions.grants import ResumeGrant, StopGrant
from support.actions.keys import ResendReveal, RestoreKey, RevokeKey, SuspendKey
from support.actions.mark_handled import MarkEventHandled, MarkOrderHandled
from support.actions.notifications import DisableEndpoint, EnableEndpoint, ResendMail
from support.actions.orders import ClearReview
from support.actions.reconcile import ReconcileConversation, ReconcileOrder
from support.actions.refunds import RefundOrder
from support.actions.service_tokens import RevokeServiceToken
from support.models import ADD_ENDPOINT, EXPORT, SupportAction

STAFF_ACTIONS: list[type[StaffAction[Any]]] = [
    RefundOrder,
    ReconcileOrder,
    MarkOrderHandled,
    ClearReview,
    ReconcileConversation,
    ReplayEvent,
    MarkEventHandled,
    RevokeKey,
    SuspendKey,
    RestoreKey,
    StopGrant,
    ResumeGrant,
    ResendReveal,
    CloseCheckout,
    OpenCheckout,
    RevokeServiceToken,
    ResendMail,
    DisableEndpoint,
    EnableEndpoint,
]


@dataclass(frozen=True, slots=True)
class Button:
    staff_action: StaffAction[Any]  # not its class, which a template would call
    url: str
    unavailable_reason: str
    note: str = ""  # beside the label


def find(model: type[Model], kind: str) -> type[StaffAction[Any]] | None:
    found = (each for each in STAFF_ACTIONS if each.model is model and each.kind == kind)
    return next(found, None)


def buttons(
    request: HttpRequest, past: Sequence[SupportAction], *subjects: Model | None
) -> list[Button]:
    """What this user may do to these rows, including what is not possible now.

    `past` holds at least the audit log of these rows.
    """
    shown = [
        each(subject, past)
        for subject in subjects
        if subject is not None
        for each in STAFF_ACTIONS
        if isinstance(subject, each.model) and (each.done_by or each.is_permitted(request.user))
    ]
    return [_button(request, each) for each in shown]


def _button(request: HttpRequest, staff_action: StaffAction[Any]) -> Button:
    url = _url(staff_action, request.path)
    if staff_action.is_permitted(request.user):
        return Button(staff_action, url, staff_action.unavailable_reason())
    return Button(staff_action, url, "Your role may not.", staff_action.done_by)


def done_label(kind: str) -> str:
    """The label of a kind in the audit log; the kind itself if its class was removed."""
    return done_labels().get(kind, kind)


def done_labels() -> dict[str, str]:
    return {each.kind: each.done_label for each in STAFF_ACTIONS} | {
        EXPORT: "list exported",
        ADD_ENDPOINT: "webhook endpoint added",
    }


def _url(staff_action: StaffAction[Any], back: str) -> str:
    opts = staff_action.model._meta
    route = f"admin:{opts.app_label}_{opts.model_name}_action"
    url = reverse(route, args=[staff_action.subject.pk, staff_action.kind])
    return f"{url}?{urlencode({'next': back})}"
