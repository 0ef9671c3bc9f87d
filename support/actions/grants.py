"""Staff actions on a grant: stop and resume all keys of a payment."""

from __future__ import annotations

from apikeys import services
from apikeys.models import Grant
from support.actions.base import ActionRefused, StaffAction
from support.models import SupportAction

_STOP_COLUMNS = ("stopped_at", "stopped_reason")


class StopGrant(StaffAction[Grant]):
    kind = "stop_grant"
    model = Grant
    label = "Stop grant…"
    done_label = "grant stopped"
    permission_label = "Can stop all keys of a payment"
    roles = ("support",)
    explanation = (
        "Stops every key of this payment until somebody resumes the grant, and its owner can make "
        "no other. They see the reason as you write it here, and get it by mail."
    )
    recorded = _STOP_COLUMNS
    owner_reads_reason = True

    def unavailable_reason(self) -> str:
        return "It is stopped." if self.subject.stopped_at else ""

    def run(self, action: SupportAction) -> str:
        if not services.stop_grant(self.subject.pk, reason=action.reason):
            raise ActionRefused("It was stopped meanwhile.")
        return f"{self.subject} stopped."


class ResumeGrant(StaffAction[Grant]):
    kind = "resume_grant"
    model = Grant
    label = "Resume grant…"
    done_label = "grant resumed"
    permission_label = "Can resume all keys of a payment"
    roles = ("support",)
    explanation = (
        "Undoes a stop by staff: the keys work again, unless the payment is disputed or refunded. "
        "Their owner gets a mail with the reason as you write it here."
    )
    recorded = _STOP_COLUMNS
    owner_reads_reason = True

    def unavailable_reason(self) -> str:
        return "" if self.subject.stopped_at else "It is not stopped."

    def run(self, action: SupportAction) -> str:
        if not services.resume_grant(self.subject.pk, reason=action.reason):
            raise ActionRefused("It is not stopped any more.")
        return f"{self.subject} resumed."
