"""The staff action on an event: replay."""

from __future__ import annotations

from apikeys.secret_patterns import redact
from billing.events import log
from billing.models import StripeEvent
from support.actions.base import ActionRefused, StaffAction
from support.models import SupportAction

MAX_ERROR_LENGTH = 500


class ReplayEvent(StaffAction[StripeEvent]):
    kind = "replay_event"
    model = StripeEvent
    label = "Replay…"
    done_label = "event replayed"
    permission_label = "Can replay an event"
    roles = ("support",)
    explanation = "Handles the stored event again, as if Stripe had sent it again."
    recorded = ("status", "attempts", "outcome", "last_error", "settled_at")

    def unavailable_reason(self) -> str:
        settled = self.subject.is_settled
        return "It is settled: replaying it would change nothing." if settled else ""

    def run(self, action: SupportAction) -> str:
        try:
            event = log.process(self.subject.event_id)
        except log.ProcessingFailed as failure:
            cause = failure.__cause__
            text = redact(f"It failed again: {type(cause).__name__}: {cause}")
            raise ActionRefused(text[:MAX_ERROR_LENGTH]) from None
        return f"Event {event.status}: {event.outcome}"
