"""The staff action on a service token: revoke."""

from __future__ import annotations

from accounts import service_tokens
from accounts.models import ServiceToken
from support.actions.base import ActionRefused, StaffAction
from support.models import SupportAction


class RevokeServiceToken(StaffAction[ServiceToken]):
    kind = "revoke_service_token"
    model = ServiceToken
    label = "Revoke service token…"
    done_label = "service token revoked"
    permission_label = "Can revoke a service token"
    roles = ("support",)
    explanation = (
        "The backend that has this token can't reach /api/service/ with it from now on, for good: "
        "give it another first, by manage.py issue_service_token."
    )
    recorded = ("revoked_at",)

    def unavailable_reason(self) -> str:
        return "It is revoked." if self.subject.revoked_at else ""

    def run(self, action: SupportAction) -> str:
        if not service_tokens.revoke(self.subject.pk):
            raise ActionRefused("It was revoked meanwhile.")
        return f"Service token {self.subject} revoked."
