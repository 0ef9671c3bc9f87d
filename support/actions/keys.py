"""Staff actions on an API key: revoke, suspend, restore, ask its owner to reveal it."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from apikeys import services
from apikeys.models import ApiKey
from notifications import outbox
from support.actions.base import ActionRefused, StaffAction
from support.models import SupportAction

_STOP_COLUMNS = ("revoked_at", "revoked_reason", "suspended_at")


class RevokeKey(StaffAction[ApiKey]):
    kind = "revoke_key"
    model = ApiKey
    label = "Revoke key…"
    done_label = "key revoked"
    permission_label = "Can revoke a key"
    roles = ("support",)
    explanation = (
        "Ends this key at once and for good, whatever becomes of its payment. Its owner sees, and "
        "gets a mail, that support revoked it, with the reason as you write it here, and can make "
        "another key: to prevent that, stop the grant."
    )
    recorded = _STOP_COLUMNS
    owner_reads_reason = True

    def unavailable_reason(self) -> str:
        return "It is revoked." if self.subject.revoked_at else ""

    def run(self, action: SupportAction) -> str:
        if not services.revoke(self.subject.pk, reason=action.reason):
            raise ActionRefused("It was revoked meanwhile.")
        return f"Key {self.subject} revoked."


class SuspendKey(StaffAction[ApiKey]):
    kind = "suspend_key"
    model = ApiKey
    label = "Suspend key…"
    done_label = "key suspended"
    permission_label = "Can suspend a key"
    roles = ("support",)
    explanation = (
        "Stops this key until somebody restores it, whatever becomes of its payment. Its owner "
        "sees the reason as you write it here, and gets it by mail, and can make another key: to "
        "prevent that, stop the grant."
    )
    recorded = _STOP_COLUMNS
    owner_reads_reason = True

    def unavailable_reason(self) -> str:
        if self.subject.revoked_at:
            return "It is revoked."
        return "It is suspended." if self.subject.suspended_at else ""

    def run(self, action: SupportAction) -> str:
        if not services.suspend(self.subject.pk, reason=action.reason):
            raise ActionRefused("It was stopped meanwhile.")
        return f"Key {self.subject} suspended."


class RestoreKey(StaffAction[ApiKey]):
    kind = "restore_key"
    model = ApiKey
    label = "Restore key…"
    done_label = "key restored"
    permission_label = "Can restore a suspended key"
    roles = ("support",)
    explanation = (
        "Lifts the suspension by staff. The key works again, unless its grant is suspended, "
        "stopped or revoked. Its owner gets a mail with the reason as you write it here."
    )
    recorded = _STOP_COLUMNS
    owner_reads_reason = True

    def unavailable_reason(self) -> str:
        if self.subject.revoked_at:
            return "It is revoked."
        return "" if self.subject.suspended_at else "It is not suspended."

    def run(self, action: SupportAction) -> str:
        if not services.restore(self.subject.pk, reason=action.reason):
            raise ActionRefused("It is not suspended any more.")
        return f"Key {self.subject} restored."


class ResendReveal(StaffAction[ApiKey]):
    kind = "resend_reveal"
    model = ApiKey
    label = "Ask to reveal…"
    done_label = "owner asked to reveal the key"
    permission_label = "Can ask an owner to reveal their key"
    roles = ("support",)
    explanation = (
        "Tells the owner by mail and on their page of keys that the key waits to be revealed, with "
        "the reason as you write it here. No key is made; one that was revealed before is never "
        "shown again."
    )
    recorded = ("revealed_at",)
    owner_reads_reason = True

    def unavailable_reason(self) -> str:
        if self.subject.is_revealed:
            return "It was revealed before. Revoke it; its owner can create another."
        if self.subject.rotated_at:
            return "It was rotated; its successor has been shown."
        return "" if self.subject.may_authenticate() else f"It is {self.subject.state.label}."

    def run(self, action: SupportAction) -> str:
        """Changes no key: the owner's page reads its note from the audit log."""
        with transaction.atomic():
            outbox.record(
                "key.waiting",
                f"action/{action.pk}",
                user_id=self.subject.user_id,
                data={"keyIds": [self.subject.pk], "reason": action.reason},
            )
        note = f"{settings.FRONTEND_URL}/keys"
        return f"The owner of key {self.subject} gets a mail, and finds a note at {note}."
