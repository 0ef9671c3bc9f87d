"""Staff actions on the outbox: send a mail again, disable and enable a webhook endpoint."""

from __future__ import annotations

from notifications import endpoints, mail
from notifications.models import Endpoint, MailStatus, Notification
from support.actions.base import ActionRefused, StaffAction
from support.models import SupportAction


class ResendMail(StaffAction[Notification]):
    kind = "resend_mail"
    model = Notification
    label = "Send mail again…"
    done_label = "mail sent again"
    permission_label = "Can send a mail again"
    roles = ("support",)
    explanation = (
        "Sends this mail once more, to the address that the user has now. What it says is made "
        "anew; one that is no longer needed is not sent."
    )
    recorded = ("mail_status",)

    def unavailable_reason(self) -> str:
        if self.subject.mail_status == MailStatus.NONE:
            return "It has no mail."
        return "It waits to be sent." if self.subject.mail_status == MailStatus.WAITING else ""

    def run(self, action: SupportAction) -> str:
        if not mail.resend(self.subject.pk):
            raise ActionRefused("It waits to be sent already.")
        return f"The mail of {self.subject} is sent again."


class DisableEndpoint(StaffAction[Endpoint]):
    kind = "disable_endpoint"
    model = Endpoint
    label = "Disable endpoint…"
    done_label = "webhook endpoint disabled"
    permission_label = "Can disable a webhook endpoint"
    roles = ("support",)
    explanation = (
        "Sends it no more events until somebody enables it. What waits for it is kept; what "
        "happens meanwhile is only in the list at /api/service/events."
    )
    recorded = ("disabled_at", "disabled_reason")

    def unavailable_reason(self) -> str:
        return "It is disabled." if self.subject.disabled_at else ""

    def run(self, action: SupportAction) -> str:
        if not endpoints.disable(self.subject.pk, endpoints.DISABLED_BY_STAFF):
            raise ActionRefused("It was disabled meanwhile.")
        return f"Endpoint {self.subject} disabled."


class EnableEndpoint(StaffAction[Endpoint]):
    kind = "enable_endpoint"
    model = Endpoint
    label = "Enable endpoint…"
    done_label = "webhook endpoint enabled"
    permission_label = "Can enable a webhook endpoint"
    roles = ("support",)
    explanation = "Sends it what waits for it at once, and every event from now on."
    recorded = ("disabled_at", "disabled_reason")

    def unavailable_reason(self) -> str:
        return "" if self.subject.disabled_at else "It is not disabled."

    def run(self, action: SupportAction) -> str:
        if not endpoints.enable(self.subject.pk):
            raise ActionRefused("It was enabled meanwhile.")
        return f"Endpoint {self.subject} enabled."
