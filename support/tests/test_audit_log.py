"""The audit log's chain: it holds after everything staff do, and names what was tampered with."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY

from accounts.models import User
from billing.models import Order
from support import audit_log
from support.models import AuditDigest, SupportAction
from testing.concurrency import concurrently
from testing.factories import UserFactory

pytestmark = pytest.mark.django_db


def check(*arguments: str) -> str:
    """The command's output, or what it fails with."""
    out = StringIO()
    try:
        call_command("check_audit_log", *arguments, stdout=out)
    except CommandError as error:
        failure = error
    else:
        return out.getvalue()
    assert failure.returncode == 1
    return str(failure)


def in_metrics(name: str) -> float:
    value = REGISTRY.get_sample_value(f"payflow_audit_log_{name}")
    assert value is not None
    return value


def act(desk: Client, url: str, **values: object) -> None:
    form = desk.get(url).context["form"]
    hidden = {name: form[name].value() for name in form.fields if form[name].is_hidden}
    desk.post(url, {**hidden, "reason": "a reason", **values})


@pytest.fixture
def actions(order: Order, support: Client) -> list[SupportAction]:
    """Done, refused and exported: revoke, revoke again, stop, resume, export."""
    assert order.grant is not None
    key = order.grant.issued_key
    assert key is not None
    for url in (
        f"/admin/apikeys/apikey/{key.pk}/revoke_key/",
        f"/admin/apikeys/apikey/{key.pk}/revoke_key/",
        f"/admin/apikeys/grant/{order.grant_id}/stop_grant/",
        f"/admin/apikeys/grant/{order.grant_id}/resume_grant/",
    ):
        act(support, url)
    support.post("/admin/billing/order/export/")
    return list(SupportAction.objects.order_by("pk"))


def test_the_chain_holds_after_what_staff_do(actions: list[SupportAction]) -> None:
    assert [action.succeeded for action in actions] == [True, False, True, True, True]
    last = AuditDigest.objects.get(pk=9)  # two for each action, one for the export
    assert check() == f"5 actions are as they were written; the last digest is {last}.\n"
    assert check("--expect", f"{last}", "--expect", f"{AuditDigest.objects.get(pk=1)}") == check()


def test_the_chain_is_read_a_page_at_a_time(
    actions: list[SupportAction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "PAGE_SIZE", 2)
    with CaptureQueriesContext(connection) as context:
        assert check().startswith("5 actions are as they were written")
    reads = [query["sql"] for query in context if 'FROM "audit_digests" INNER' in query["sql"]]
    assert len(reads) == 6  # nine digests, and none after them
    assert all(read.endswith(" LIMIT 2") for read in reads)


def test_an_empty_audit_log_holds() -> None:
    began = time.time()
    assert check() == "0 actions are as they were written.\n"
    assert in_metrics("broken") == 0
    assert began <= in_metrics("checked_timestamp_seconds") <= time.time()


def test_a_check_that_stops_with_an_error_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does at a time of 'infinity', which PostgreSQL stores and Python can't read."""
    check()
    checked = in_metrics("checked_timestamp_seconds")
    monkeypatch.setattr(audit_log, "in_pages", Mock(side_effect=DataError))
    with pytest.raises(DataError):
        check()
    assert in_metrics("checked_timestamp_seconds") == checked


def every(**changes: object) -> Callable[[SupportAction], object]:
    return lambda action: SupportAction.objects.filter(pk=action.pk).update(**changes)


def _delete(action: SupportAction) -> None:
    AuditDigest.objects.filter(action=action).delete()
    SupportAction.objects.filter(pk=action.pk).delete()


def _swap_texts(action: SupportAction) -> None:
    digest = AuditDigest.objects.filter(action=action).latest("pk")
    AuditDigest.objects.filter(pk=digest.pk).update(text_digest="0" * 64)


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (every(reason="another reason"), "the texts of action {pk} were changed"),
        (every(outcome="another outcome"), "the texts of action {pk} were changed"),
        (every(changes={"revoked_at": ["", ""]}), "the texts of action {pk} were changed"),
        (every(reason="[erased]", outcome="", changes={}), "the texts of action {pk} were changed"),
        (every(succeeded=False), "action {pk} was changed"),
        (every(amount_cents=1), "action {pk} was changed"),
        (every(kind="export"), "action {pk} was changed"),
        (every(customer=None), "action {pk} was changed"),
        (every(created_at=F("created_at") - timedelta(days=1)), "action {pk} was changed"),
        (_delete, "digest 5 is missing, before that of action {after}"),
        (_swap_texts, "the texts of action {pk} were changed"),
    ],
)
def test_a_changed_or_removed_action_is_named(
    actions: list[SupportAction], tamper: Callable[[SupportAction], object], named: str
) -> None:
    action = actions[2]
    tamper(action)
    assert check() == named.format(pk=action.pk, after=action.pk + 1)


def test_an_action_written_by_another_program_is_named(actions: list[SupportAction]) -> None:
    began = time.time()
    forged = SupportAction.objects.create(kind="refund", actor_id=actions[0].actor_id, reason="x")
    assert check() == f"action {forged.pk} has no digest"
    assert in_metrics("broken") == 1
    assert began <= in_metrics("checked_timestamp_seconds") <= time.time()


def test_a_digest_that_was_computed_anew_is_named(actions: list[SupportAction]) -> None:
    AuditDigest.objects.filter(pk=3).update(digest="1" * 64)
    assert check() == f"digest 3, of action {actions[1].pk}, was changed"


def test_a_cut_chain_holds_by_itself_but_not_what_was_logged(
    actions: list[SupportAction],
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True), caplog.at_level("INFO"):
        audit_log.record(kind="export", actor_id=actions[0].actor_id, reason="orders all")
    logged = caplog.messages[-1].removeprefix("Audit log ")
    assert check("--expect", logged) == check()
    _delete(SupportAction.objects.latest("pk"))
    assert "as they were written" in check()
    assert check("--expect", logged) == "digest 10 is not the expected one"
    assert in_metrics("broken") == 1


def test_erased_texts_leave_the_chain_whole(actions: list[SupportAction]) -> None:
    call_command("erase_user", actions[0].customer.email, stdout=StringIO())  # type: ignore[union-attr]
    erased = SupportAction.objects.get(pk=actions[0].pk)
    assert (erased.reason, erased.outcome, erased.changes) == ("[erased]", "[erased]", {})
    assert not AuditDigest.objects.filter(action=erased).exclude(salt="").exists()
    assert "5 actions are as they were written" in check()
    SupportAction.objects.filter(pk=erased.pk).update(reason="a reason")
    assert check() == f"the texts of action {erased.pk} were changed"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_actions_at_the_same_moment_are_chained_one_after_the_other() -> None:
    actor: User = UserFactory.create(is_staff=True)

    def act_twice() -> None:
        action = audit_log.record(kind="x", actor_id=actor.pk, reason="a reason")
        action.succeeded = True
        audit_log.save(action, ["succeeded"])
        audit_log.erase_texts(action.pk)

    concurrently(*[act_twice] * 8)
    assert "8 actions are as they were written" in check()
    assert list(AuditDigest.objects.order_by("pk").values_list("pk", flat=True)) == [*range(1, 17)]
    assert connection.vendor == "postgresql"
