"""The base class of staff actions, and how an action fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model

from accounts.models import User
from support.actions.forms import ReasonForm
from support.models import SupportAction

Row = TypeVar("Row", bound=Model)
Actor = User | AnonymousUser


class ActionRefused(Exception):
    """The action can't be done. The text says why, and staff read it."""


class OutcomeUnknown(Exception):
    """Stripe did not give a usable answer: whether the action was done is not known."""


class StaffAction(ABC, Generic[Row]):
    """One thing that staff can do to one kind of row; an instance is about one row.

    Each action calls the service that the API or the webhook calls. Two classes of one `kind` do
    the same to different models, under one permission.
    """

    kind: ClassVar[str]  # as the audit log stores it; also the URL's last part
    model: ClassVar[type[Model]]
    label: ClassVar[str]  # on its button
    done_label: ClassVar[str]  # in the audit log
    permission_label: ClassVar[str]
    explanation: ClassVar[str]  # on the confirmation page
    roles: ClassVar[Collection[str]]  # whose staff have the permission
    limited_roles: ClassVar[Collection[str]] = ()  # who have it up to a limit
    recorded: ClassVar[Sequence[str]] = ()  # columns whose changes the audit log keeps
    owner_reads_reason: ClassVar[bool] = False
    # Shown to staff who may not do it: who can. Empty: the button is not shown to them.
    done_by: ClassVar[str] = ""
    # An action without an outcome may be sent again, with the same token.
    is_resumable: ClassVar[bool] = False

    def __init__(self, subject: Row, past: Sequence[SupportAction]) -> None:
        """`past` holds at least the audit log of this row."""
        self.subject = subject
        self.past = past

    @classmethod
    def permission(cls) -> str:
        return f"support.{cls.kind}"

    @classmethod
    def limited_permission(cls) -> str:
        return f"{cls.permission()}_limited"

    @classmethod
    def is_permitted(cls, actor: Actor) -> bool:
        limited = bool(cls.limited_roles) and actor.has_perm(cls.limited_permission())
        return limited or actor.has_perm(cls.permission())

    def needs_reauthentication(self, given: Mapping[str, Any]) -> bool:
        """Whether staff are asked for their password again; `given` is empty before the form."""
        return False

    def unavailable_reason(self) -> str:
        """Why it can't be done now, "" when it can."""
        return ""

    def run_if_available(self, action: SupportAction) -> str:
        """`run`, unless the page that sent the form was outdated. Raises as `run` does."""
        if reason := self.unavailable_reason():
            raise ActionRefused(reason)
        return self.run(action)

    @abstractmethod
    def run(self, action: SupportAction) -> str:
        """Do it, and return the outcome in words. `action` is the row of the audit log.

        No transaction is open. Raises ActionRefused and OutcomeUnknown.
        """

    def form(self, data: Mapping[str, Any] | None, initial: dict[str, Any]) -> ReasonForm:
        return ReasonForm(data, initial=initial)

    def reserve(self, given: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
        """Check the form's values and what the actor may do; return more columns of the row.

        Runs in the transaction that writes the row. Raises ActionRefused.
        """
        return {}

    def check_resumption(
        self, action: SupportAction, given: Mapping[str, Any], actor: Actor
    ) -> None:
        """Raise ActionRefused unless this actor may safely resume it with the form's values."""

    def resume(self, action: SupportAction) -> str:
        """Finish an action whose outcome is not known, as `run` does."""
        return self.run(action)
