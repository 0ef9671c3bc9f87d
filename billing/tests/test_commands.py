"""The commands: what they select, what they print, and that repeats change nothing."""

from __future__ import annotations

import contextlib
import os
import random
import re
import termios
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Model
from django.utils import timezone

from apikeys.models import ApiKey
from billing.events import replay
from billing.management.progress import Progress
from billing.models import MAX_ATTEMPTS, Dispute, EventStatus, Order, Refund, StripeEvent
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.factories import ConversationFactory

pytestmark = pytest.mark.django_db

EVERYTHING: list[type[Model]] = [StripeEvent, Order, ApiKey, Conversation, Refund, Dispute]
CHANGES_ANYWAY = {"updated_at", "attempts"}


def run(command: str, *arguments: Any) -> str:
    """The output of a command; it raises CommandError for an exit status other than 0."""
    out = StringIO()
    call_command(command, *map(str, arguments), stdout=out)
    return out.getvalue().strip()


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row, without attempt counts and update times."""
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in CHANGES_ANYWAY}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in EVERYTHING
    }


def a_busy_week() -> list[stripe.Json]:
    """The events of payments with every kind of result, in order."""
    events: list[stripe.Json] = []
    for _ in range(2):
        paid, delayed, failed, declined = (ConversationFactory.create() for _ in range(4))
        first, second = stripe.session(paid), stripe.session(paid)
        events += [stripe.event("checkout.session.completed", one) for one in (first, second)]
        events.append(stripe.event("refund.created", stripe.refund(second["payment_intent"])))
        events.append(stripe.event("refund.created", stripe.refund("pi_of_another_product")))
        session = stripe.session(delayed)
        unpaid = {**session, "payment_status": "unpaid"}
        dispute = stripe.dispute(session["payment_intent"])
        events += [
            stripe.event("charge.dispute.created", dispute),
            stripe.event("checkout.session.completed", unpaid),
            stripe.event("checkout.session.async_payment_succeeded", session),
            stripe.event("charge.dispute.closed", {**dispute, "status": "lost"}),
        ]
        unpaid = stripe.session(failed, payment_status="unpaid")
        events.append(stripe.event("checkout.session.async_payment_failed", unpaid))
        expired = stripe.session(declined, status="expired", payment_status="unpaid")
        declined.mark_pending(expired["id"])
        intent = stripe.declined_intent(declined)
        events.append(stripe.event("payment_intent.payment_failed", intent))
        events.append(stripe.event("checkout.session.expired", expired))
        events.append(stripe.event("customer.created", {"id": "cus_1", "object": "customer"}))
    return events


def deliver(events: list[stripe.Json]) -> None:
    for event in events:
        assert stripe.deliver(event).status_code == 200


def test_replaying_everything_twice_changes_nothing() -> None:
    deliver(a_busy_week())
    before = everything()
    for _ in range(2):
        assert run("replay_events", "--force").startswith("24 events: ")
    assert everything() == before


@pytest.mark.parametrize("seed", range(3))
def test_replaying_everything_shuffled_changes_nothing(seed: int) -> None:
    events = a_busy_week()
    deliver(events)
    before = everything()
    ids = [event["id"] for event in events] * 2
    random.Random(seed).shuffle(ids)  # noqa: S311 - not a secret
    for event_id in ids:
        replay.retry(event_id, force=True)
    assert everything() == before


def test_settled_events_are_left_out_unless_forced(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    assert run("replay_events") == (
        "0 events\n1 settled events were left out: --force includes them"
    )
    assert run("replay_events", "--force") == "1 events: 1 processed"


def test_a_dry_run_counts_and_changes_nothing() -> None:
    deliver(a_busy_week())
    before = everything()
    assert run("replay_events", "--force", "--dry-run") == "24 events would be handled"
    assert everything() == before


def choices() -> dict[str, Callable[[StripeEvent], list[Any]]]:
    return {
        "by id": lambda event: [event.event_id],
        "by type": lambda event: ["--type", event.type],
        "by status": lambda event: ["--status", "processed"],
        "by conversation": lambda event: ["--conversation", event.conversation_id],
        "by user": lambda event: ["--user", event.conversation.user_id],
        "by time": lambda event: ["--since", (event.created_at - timedelta(hours=1)).isoformat()],
        "resumed": lambda event: ["--after", event.pk - 1],
    }


@pytest.mark.parametrize("choice", choices())
def test_events_are_selected_by_each_option(conversation: Conversation, choice: str) -> None:
    stripe.deliver(stripe.event("customer.created", {"id": "cus_1", "object": "customer"}))
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(days=2))
    event = stripe.completed(conversation)
    stripe.deliver(event)
    chosen = choices()[choice](StripeEvent.objects.get(event_id=event["id"]))
    assert run("replay_events", "--force", *chosen) == "1 events: 1 processed"


def test_until_is_exclusive_and_a_bare_date_is_utc(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    today = timezone.now().date().isoformat()
    assert run("replay_events", "--force", "--until", today) == "0 events"
    assert run("replay_events", "--force", "--since", today) == "1 events: 1 processed"


def test_an_unknown_id_is_refused_by_name() -> None:
    with pytest.raises(CommandError, match="not in the event log: evt_nowhere"):
        run("replay_events", "evt_nowhere")


def test_an_unreadable_time_is_refused() -> None:
    with pytest.raises(CommandError, match="not a date or time: yesterday"):
        run("replay_events", "--since", "yesterday")


def failing_event() -> StripeEvent:
    """An event whose handling raises: its refund has no readable amount."""
    refund = stripe.refund("pi_1", amount="much")  # type: ignore[arg-type]
    event = stripe.event("refund.created", refund)
    assert stripe.deliver(event).status_code == 500
    return StripeEvent.objects.get(event_id=event["id"])


def test_a_failed_event_is_reported_and_does_not_stop_the_others(
    conversation: Conversation,
) -> None:
    failing_event()
    event = stripe.completed(conversation)
    stripe.deliver(event)
    with pytest.raises(CommandError, match="some failed") as failure:
        run("replay_events", "--force")
    assert failure.value.returncode == 1
    assert StripeEvent.objects.get(event_id=event["id"]).attempts == 2


def test_an_interrupted_replay_says_where_to_continue(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver([stripe.completed(conversation) for _ in range(3)])
    rows = list(StripeEvent.objects.order_by("pk").values_list("pk", flat=True))
    retry = replay.retry

    def until_ctrl_c(event_id: str, *, force: bool) -> str:
        if StripeEvent.objects.get(event_id=event_id).pk == rows[1]:
            raise KeyboardInterrupt
        return retry(event_id, force=force)

    monkeypatch.setattr("billing.events.replay.retry", until_ctrl_c)
    with pytest.raises(CommandError, match=f"continue with --after {rows[0]}") as stopped:
        run("replay_events", "--force")
    assert stopped.value.returncode == 130
    monkeypatch.undo()
    assert run("replay_events", "--force", "--after", rows[0]) == "2 events: 2 processed"


def test_iterating_over_many_events_uses_constant_memory() -> None:
    rows = (
        StripeEvent(event_id=f"evt_many_{number}", type="x", payload={"pad": "x" * 500})
        for number in range(20_000)
    )
    StripeEvent.objects.bulk_create(rows, batch_size=2000)
    tracemalloc.start()
    count = sum(1 for _ in replay.iter_by_pk(StripeEvent.objects.all()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 4_000_000  # of some 12 MB


def test_without_a_terminal_progress_is_a_line_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(
        "billing.management.progress.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    out = StringIO()
    with Progress("events", total=2000, out=out) as steps:
        for _ in range(10):
            clock.now += 0.25
            steps.step("processed", 200)
    assert out.getvalue().splitlines() == [
        "800 of 2,000 events, 800 a second",
        "1,600 of 2,000 events, 800 a second",
    ]
    assert steps.summary() == "2,000 events: 2,000 processed"


def test_a_command_that_ends_within_a_second_prints_no_progress(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    with contextlib.redirect_stderr(StringIO()) as err:
        run("replay_events", "--force")
    assert err.getvalue() == ""


def all_of(terminal: int) -> str:
    """The output written to a terminal, which is closed now; its end is an error on Linux."""
    seen = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65_536):
            seen += piece
    os.close(terminal)
    return seen.decode()


@pytest.mark.parametrize("columns", [0, 60, 120])
def test_on_a_terminal_progress_is_a_bar(conversation: Conversation, columns: int) -> None:
    deliver([stripe.completed(conversation) for _ in range(3)])
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24 if columns else 0, columns))
    with os.fdopen(theirs, "w") as terminal, contextlib.redirect_stderr(terminal):
        assert run("replay_events", "--force") == "3 events: 3 processed"
    seen = all_of(ours)
    first, *_, last = [drawn for drawn in seen.split("\r") if drawn.strip()]
    assert re.match(r"  0%\| +\| 0/3 \[", first)
    assert re.match(r"100%\|█+\| 3/3 \[", last)
    assert "a second" not in seen


def test_a_failed_event_is_retried_after_its_pause() -> None:
    event = failing_event()
    assert event.next_attempt_at is not None
    assert run("process_events") == "0 events"
    StripeEvent.objects.update(next_attempt_at=timezone.now())
    with pytest.raises(CommandError, match="some failed"):
        run("process_events")
    second = StripeEvent.objects.get()
    assert second.attempts == 2
    assert second.next_attempt_at is not None
    pause = second.next_attempt_at - timezone.now()
    assert timedelta(seconds=20) < pause <= timedelta(seconds=30)


def test_an_event_that_fails_too_often_is_parked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event = failing_event()
    for _ in range(MAX_ATTEMPTS - 1):
        assert not StripeEvent.objects.get().is_parked
        StripeEvent.objects.update(next_attempt_at=timezone.now())
        with pytest.raises(CommandError):
            run("process_events")
    parked = StripeEvent.objects.get()
    assert parked.is_parked
    assert parked.next_attempt_at is None
    assert f"Event {event.event_id} is parked: it failed 12 times" in caplog.text
    assert run("process_events") == "0 events"


def test_a_parked_event_is_processed_by_a_replay_after_its_cause_is_fixed() -> None:
    event = failing_event()
    event.payload["data"]["object"]["amount"] = 5
    event.parked_at = timezone.now()
    event.save()
    assert run("replay_events", event.event_id) == "1 events: 1 unmatched"
    assert not StripeEvent.objects.get().is_parked


def test_an_event_whose_process_died_is_handled(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation))
    StripeEvent.objects.update(status=EventStatus.RECEIVED, settled_at=None)
    assert run("process_events") == "0 events"  # it may still be in progress
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    assert run("process_events") == "1 events: 1 processed"


def test_a_refund_that_was_unmatched_for_a_day_is_ignored() -> None:
    stripe.deliver(stripe.event("refund.created", stripe.refund("pi_of_another_product")))
    assert run("process_events") == "0 events"
    StripeEvent.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert run("process_events") == "1 events: 1 ignored"


def test_pruning_deletes_only_old_settled_events(conversation: Conversation) -> None:
    deliver(a_busy_week())
    failing_event()
    long_ago = timezone.now() - timedelta(days=100)
    StripeEvent.objects.update(created_at=long_ago)
    StripeEvent.objects.exclude(settled_at=None).update(settled_at=long_ago)
    stripe.deliver(stripe.completed(conversation))
    unsettled = set(StripeEvent.objects.unsettled().values_list("pk", flat=True))
    assert run("prune_events", "--older-than", 90, "--dry-run") == "22 events would be deleted"
    assert run("prune_events", "--older-than", 90) == "22 events: 22 deleted"
    assert set(StripeEvent.objects.unsettled().values_list("pk", flat=True)) == unsettled
    assert StripeEvent.objects.count() == len(unsettled) + 1
    assert run("prune_events", "--older-than", 90) == "0 events"


def test_events_that_stripe_may_still_send_are_not_pruned() -> None:
    with pytest.raises(CommandError, match="at least 30 days"):
        run("prune_events", "--older-than", 29)


@pytest.mark.parametrize("by", ["conversation", "user"])
def test_unsettled_events_are_selected_by_user_and_conversation(
    conversation: Conversation, by: str
) -> None:
    event = stripe.completed(conversation)
    stripe.deliver(event)
    session = event["data"]["object"]
    stripe.deliver(stripe.event("refund.created", stripe.refund(session["payment_intent"], 500)))
    StripeEvent.objects.update(status=EventStatus.FAILED, conversation=None)
    identifier = conversation.pk if by == "conversation" else conversation.user_id
    assert "2 processed" in run("replay_events", f"--{by}={identifier}")
    assert "0 events" in run("replay_events", f"--{by}=0", "--dry-run")


def test_a_refund_that_was_locked_while_its_order_was_recorded_is_retried(
    conversation: Conversation,
) -> None:
    event = stripe.completed(conversation)
    intent = event["data"]["object"]["payment_intent"]
    for status in (EventStatus.UNMATCHED, EventStatus.IGNORED):
        refund = stripe.event("refund.created", stripe.refund(intent, 500))
        stripe.deliver(refund)
        StripeEvent.objects.filter(event_id=refund["id"]).update(status=status)
    StripeEvent.objects.update(payment_intent_id="pi_hidden")  # as if the rows were locked
    stripe.deliver(event)
    StripeEvent.objects.filter(payment_intent_id="pi_hidden").update(payment_intent_id=intent)
    assert Order.objects.get().refunded_cents == 0
    assert "2 processed" in run("process_events")
    assert Order.objects.get().refunded_cents == 1000
    assert "0 events" in run("process_events")


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_a_loop_refuses_an_unusable_interval(seconds: str) -> None:
    with pytest.raises(CommandError, match="more than 0 and at most 86400 seconds"):
        run("process_events", f"--loop={seconds}")


def test_pruning_refuses_an_age_beyond_the_maximum() -> None:
    with pytest.raises(CommandError, match="at most"):
        run("prune_events", "--older-than=10000000")
