"""How every staff action is performed: recorded, run, completed in the audit log."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from apikeys.secret_patterns import redact, redact_json
from support import audit_log
from support.actions.base import ActionRefused, Actor, OutcomeUnknown, StaffAction
from support.models import SupportAction, about_columns

logger = logging.getLogger(__name__)


def perform(
    staff_action: StaffAction[Any],
    *,
    actor: Actor,
    reason: str,
    token: uuid.UUID,
    given: Mapping[str, Any],
) -> SupportAction:
    """Perform the action and return its row of the audit log; a used token does nothing more.

    `given` holds the form's values. Raises ActionRefused when the action can't be done, and
    OutcomeUnknown when Stripe's answer is not known: the same token may then be sent again.
    """
    action, is_new = _record(staff_action, actor, reason, token, given)
    if is_new:
        _run(staff_action, staff_action.run_if_available, action)
    elif _may_resume(staff_action, action):
        staff_action.check_resumption(action, given, actor)
        _record_resumption(action, actor, reason)
        _run(staff_action, staff_action.resume, action)
    return action


def _record(
    staff_action: StaffAction[Any],
    actor: Actor,
    reason: str,
    token: uuid.UUID,
    given: Mapping[str, Any],
) -> tuple[SupportAction, bool]:
    """The token's row, and whether it is new. Raises ActionRefused."""
    used = SupportAction.objects.filter(token=token).first()
    if used is not None:
        return used, False
    columns = {
        "kind": staff_action.kind,
        "actor_id": actor.pk,
        "reason": reason,
        **about_columns(staff_action.subject),
    }
    with transaction.atomic():
        columns |= staff_action.reserve(given, actor)
        return audit_log.get_or_record(token, columns)


def _run(
    staff_action: StaffAction[Any], run: Callable[[SupportAction], str], action: SupportAction
) -> None:
    """Run the action, and complete its row, unless the outcome is unknown and can be resumed."""
    before = _recorded_values(staff_action)
    try:
        outcome = run(action)
    except OutcomeUnknown:
        raise  # the row stays incomplete, so that the action can be resumed
    except ActionRefused as refusal:
        _complete(action, succeeded=False, outcome=str(refusal))
        raise
    except Exception as error:
        if not staff_action.is_resumable:  # else the row stays incomplete: it may have been done
            _complete(action, succeeded=False, outcome=f"It failed: {type(error).__name__}.")
        raise
    staff_action.subject.refresh_from_db(fields=staff_action.recorded)
    after = _recorded_values(staff_action)
    changes = {name: [before[name], after[name]] for name in after if after[name] != before[name]}
    _complete(action, succeeded=True, outcome=outcome, changes=changes)


def _may_resume(staff_action: StaffAction[Any], action: SupportAction) -> bool:
    if action.kind != staff_action.kind or not action.is_about(staff_action.subject):
        raise ActionRefused("This form was used for something else.")
    return staff_action.is_resumable and action.succeeded is None


def _record_resumption(action: SupportAction, actor: Actor, reason: str) -> None:
    """Record who resumes the action and why, before it is sent again."""
    earlier = action.changes.get("sent again by", ["", ""])[1]
    now = f"{actor}: {reason}"
    action.changes["sent again by"] = ["", f"{earlier}; {now}" if earlier else now]
    audit_log.save(action, ["changes"])


def _complete(
    action: SupportAction,
    *,
    succeeded: bool,
    outcome: str,
    changes: Mapping[str, Any] | None = None,
) -> None:
    action.succeeded, action.outcome = succeeded, redact(outcome)
    action.changes = redact_json({**action.changes, **(changes or {})})
    action.finished_at = timezone.now()
    audit_log.save(action, ["succeeded", "outcome", "changes", "finished_at"])
    logger.info("%s by user %s: %s", action.kind, action.actor_id, action.outcome)


def _recorded_values(staff_action: StaffAction[Any]) -> dict[str, str]:
    return {name: str(getattr(staff_action.subject, name)) for name in staff_action.recorded}
