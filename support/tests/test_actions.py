"""Staff actions: the confirmation page, the reason, the effect and the audit log."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from apikeys import services
from apikeys.models import ApiKey
from billing.events import handlers
from billing.models import EventStatus, Order, StripeEvent
from billing.stripe import client
from billing.stripe.client import StripeFailed
from conversations.models import Conversation, PaymentStatus
from support.models import SupportAction
from support.tests.conftest import StaffClient, paid
from testing import stripe_events
from testing.clients import bearer
from testing.factories import ConversationFactory
from testing.keys import issued_key

REASON = "The customer asked on the phone."


def url_of(subject: Any, kind: str) -> str:
    opts = subject._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_action", args=[subject.pk, kind])


def confirm(client: Client, subject: Any, kind: str, **changed: Any) -> Any:
    """Open the confirmation page and send its form as it stands, with a reason."""
    url = url_of(subject, kind)
    page = client.get(url)
    assert page.status_code == 200
    form = page.context["form"]
    values = {name: form[name].value() for name in form.fields}
    fields = {name: "" if value is None else value for name, value in values.items()}
    return client.post(url, {**fields, "reason": REASON, **changed})


def message_after(client: Client, response: Any) -> str:
    """The message on the page that the action ends on."""
    assert response.status_code == 302
    return client.get(response.headers["Location"]).content.decode()


class Refunds:
    """A stand-in for Stripe's refunds: its answers, and what was requested."""

    def __init__(self) -> None:
        self.requested: dict[str, int] = {}
        self.calls = 0
        self.failure: Exception | None = None

    def __call__(self, intent_id: str, *, amount: int, idempotency_key: str) -> str:
        self.calls += 1
        if self.failure:
            raise self.failure
        self.requested[idempotency_key] = amount
        return f"re_{list(self.requested).index(idempotency_key) + 1}"


@pytest.fixture
def refunds(monkeypatch: pytest.MonkeyPatch) -> Refunds:
    refunds = Refunds()
    monkeypatch.setattr(client, "create_refund", refunds)
    return refunds


def refund_event(order: Order, refund_id: str, amount: int, status: str = "succeeded") -> Any:
    refund = {
        "id": refund_id,
        "object": "refund",
        "payment_intent": order.stripe_payment_intent_id,
        "amount": amount,
        "currency": order.currency,
        "status": status,
    }
    return stripe_events.event("refund.updated", refund)


# --- The form -------------------------------------------------------------------------------------


def test_nothing_happens_without_a_reason(support: Client, order: Order) -> None:
    page = confirm(support, issued_key(order), "revoke_key", reason="  ")
    assert page.status_code == 200
    assert "This field is required" in page.content.decode()
    assert not SupportAction.objects.exists()
    assert ApiKey.objects.get().revoked_at is None


@pytest.mark.parametrize("secret", ["sk_" + "0f" * 32, "sk_live_4eC39HqLyjWDar", "whsec_abcdef12"])
def test_a_secret_in_a_reason_is_refused_and_not_repeated(
    support: Client, order: Order, secret: str
) -> None:
    page = confirm(support, issued_key(order), "suspend_key", reason=f"He pasted {secret} to us.")
    assert "Leave it out" in page.content.decode()
    assert secret not in page.content.decode()
    assert not SupportAction.objects.exists()


def test_a_get_changes_nothing(support: Client, order: Order) -> None:
    assert support.get(url_of(issued_key(order), "revoke_key")).status_code == 200
    assert ApiKey.objects.get().revoked_at is None
    assert not SupportAction.objects.exists()


def test_a_form_sent_twice_acts_once(support: Client, order: Order) -> None:
    token = str(uuid.uuid4())
    for _ in range(2):
        answer = confirm(support, order, "mark_handled", token=token)
        assert answer.status_code == 302
    assert SupportAction.objects.count() == 1


def test_a_form_of_one_key_does_nothing_to_another(support: Client, order: Order) -> None:
    other = paid(ConversationFactory.create())
    token = str(uuid.uuid4())
    confirm(support, issued_key(order), "revoke_key", token=token)
    page = message_after(support, confirm(support, issued_key(other), "revoke_key", token=token))
    assert "used for something else" in page
    assert ApiKey.objects.get(pk=issued_key(other).pk).revoked_at is None


def test_an_action_leads_back_to_where_it_began_and_nowhere_else(
    support: Client, order: Order
) -> None:
    here = f"/admin/billing/order/{order.pk}/"
    assert confirm(support, issued_key(order), "suspend_key", next=here).headers["Location"] == here
    away = confirm(support, issued_key(order), "restore_key", next="https://evil.example/")
    assert away.headers["Location"] == f"/admin/apikeys/apikey/{issued_key(order).pk}/"


# --- Keys -----------------------------------------------------------------------------------------


def test_a_revoked_key_stops_and_its_owner_reads_why(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    user, browser = owner
    _, secret = services.reveal(user_id=user.pk, key_id=issued_key(order).pk)
    assert bearer(secret).get("/api/conversations").status_code == 200
    confirm(support, issued_key(order), "revoke_key")
    assert bearer(secret).get("/api/conversations").status_code == 401
    page = browser.get("/keys").content.decode()
    assert "Revoked by support" in page
    assert REASON in page
    assert secret[:20] in page


def test_the_audit_log_has_who_revoked_a_key_when_why_and_what_changed(
    support: Client, order: Order
) -> None:
    confirm(support, issued_key(order), "revoke_key")
    action = SupportAction.objects.get()
    assert action.actor.email == "support@staff.example.com"
    assert action.reason == REASON
    assert (action.customer, action.api_key_id) == (order.user, issued_key(order).pk)
    assert action.succeeded
    assert action.finished_at is not None
    assert action.changes["revoked_reason"] == ["", REASON]
    page = support.get(f"/admin/support/supportaction/{action.pk}/").content.decode()
    assert REASON in page
    assert "revoked_at" in page


def test_nobody_else_reads_the_reason(support: Client, order: Order) -> None:
    confirm(support, issued_key(order), "revoke_key")
    stranger = Client()
    stranger.force_login(paid(ConversationFactory.create()).user)
    assert REASON not in stranger.get("/keys").content.decode()


def test_a_key_is_suspended_and_restored(support: Client, order: Order) -> None:
    confirm(support, issued_key(order), "suspend_key")
    assert ApiKey.objects.get().suspended_at is not None
    confirm(support, issued_key(order), "restore_key")
    assert ApiKey.objects.get().suspended_at is None
    assert SupportAction.objects.done().count() == 2


def disputed(order: Order, status: str) -> None:
    intent = order.stripe_payment_intent_id or ""
    dispute = stripe_events.dispute(intent, status, id=f"du_of_{intent}")
    event = stripe_events.event("charge.dispute.updated", dispute)
    assert stripe_events.deliver(event).status_code == 200


def test_a_key_that_staff_suspend_in_a_dispute_stays_suspended_when_it_is_won(
    support: Client, order: Order
) -> None:
    disputed(order, "needs_response")
    confirm(support, issued_key(order), "suspend_key")
    disputed(order, "won")
    assert ApiKey.objects.get().state == "suspended"
    page = support.get(url_of(issued_key(order), "suspend_key")).content.decode()
    assert "It is suspended." in page
    confirm(support, issued_key(order), "restore_key")
    assert ApiKey.objects.get().state == "active"


def test_a_key_that_staff_restore_in_a_dispute_works_when_it_is_won(
    support: Client, order: Order
) -> None:
    confirm(support, issued_key(order), "suspend_key")
    disputed(order, "needs_response")
    confirm(support, issued_key(order), "restore_key")
    assert ApiKey.objects.get().state == "suspended"
    disputed(order, "won")
    assert ApiKey.objects.get().state == "active"


def test_a_key_that_staff_revoke_after_a_refund_stays_revoked_when_the_refund_fails(
    support: Client, order: Order
) -> None:
    stripe_events.deliver(refund_event(order, "re_1", 2000))
    confirm(support, issued_key(order), "revoke_key")
    assert SupportAction.objects.get().changes["revoked_reason"] == ["", REASON]
    page = support.get(url_of(issued_key(order), "revoke_key")).content.decode()
    assert "It is revoked." in page
    stripe_events.deliver(refund_event(order, "re_1", 2000, "failed"))
    order.conversation.refresh_from_db()
    assert order.conversation.is_paid
    assert ApiKey.objects.get().revoked_reason == REASON


def test_a_stopped_grant_stops_its_keys_and_its_owner_reads_why(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    user, browser = owner
    _, secret = services.reveal(user_id=user.pk, key_id=issued_key(order).pk)
    assert order.grant is not None
    confirm(support, order.grant, "stop_grant")
    action = SupportAction.objects.get()
    assert (action.grant, action.customer) == (order.grant, user)
    assert action.changes["stopped_reason"] == ["", REASON]
    assert bearer(secret).get("/api/conversations").status_code == 401
    page = browser.get("/keys").content.decode()
    assert "Support stopped" in page
    assert REASON in page
    assert browser.post("/keys/create", {"name": "x"}).status_code == 409
    disputed(order, "needs_response")
    disputed(order, "won")
    assert bearer(secret).get("/api/conversations").status_code == 401
    page = support.get(url_of(order.grant, "stop_grant")).content.decode()
    assert "It is stopped." in page
    confirm(support, order.grant, "resume_grant")
    assert bearer(secret).get("/api/conversations").status_code == 200
    assert "Support stopped" not in browser.get("/keys").content.decode()


def test_stopping_a_key_does_not_stop_its_owner_making_another(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    confirm(support, issued_key(order), "suspend_key")
    assert owner[1].post("/keys/create", {"name": "x"}).status_code == 200


def test_a_reveal_is_resent_without_minting_anything(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    before = ApiKey.objects.get()
    confirm(support, before, "resend_reveal")
    after = ApiKey.objects.get()
    assert (after.key_hash, after.revealed_at) == (before.key_hash, None)
    browser = owner[1]
    assert "asks you to reveal" in browser.get("/keys").content.decode()
    services.reveal(user_id=order.user_id, key_id=before.pk)
    assert "asks you to reveal" not in browser.get("/keys").content.decode()


def test_a_revealed_key_is_never_offered_again(support: Client, order: Order) -> None:
    key = issued_key(order)
    page = support.get(url_of(key, "resend_reveal"))
    fields = {name: page.context["form"][name].value() or "" for name in ("token", "next")}
    services.reveal(user_id=order.user_id, key_id=key.pk)
    answer = support.post(url_of(key, "resend_reveal"), {**fields, "reason": REASON})
    assert "It was revealed before" in message_after(support, answer)
    assert not SupportAction.objects.done().exists()
    assert "It was revealed before" in support.get(page.request["PATH_INFO"]).content.decode()


def test_an_action_on_a_key_revoked_meanwhile_is_refused(support: Client, order: Order) -> None:
    key = issued_key(order)
    page = support.get(url_of(key, "revoke_key"))
    token = page.context["form"]["token"].value()
    services.revoke(key.pk, reason="Deleted by its owner.")
    answer = support.post(url_of(key, "revoke_key"), {"token": token, "reason": REASON})
    assert "It is revoked." in message_after(support, answer)
    action = SupportAction.objects.get()
    assert action.succeeded is False
    assert ApiKey.objects.get().revoked_reason == "Deleted by its owner."


# --- Events ---------------------------------------------------------------------------------------


def test_a_stuck_event_is_replayed_once_its_cause_is_gone(
    support: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(event: object) -> handlers.Outcome:
        raise RuntimeError("the cause")

    with monkeypatch.context() as patched:
        patched.setattr(handlers, "handle", broken)
        stripe_events.deliver(stripe_events.completed(conversation, payment_status="unpaid"))
        event = StripeEvent.objects.get()
        assert event.status == EventStatus.FAILED
        answer = confirm(support, event, "replay_event")
        assert "RuntimeError: the cause" in message_after(support, answer)
    confirm(support, event, "replay_event")
    assert StripeEvent.objects.get().status == EventStatus.PROCESSED
    assert Order.objects.get().conversation_id == conversation.pk
    action = SupportAction.objects.done().get()
    assert action.event_id == event.event_id
    assert action.changes["status"] == ["failed", "processed"]


def test_a_secret_in_an_error_is_redacted_on_pages_and_in_the_audit_log(
    support: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk_" + "ab" * 32

    def broken(event: object) -> handlers.Outcome:
        raise RuntimeError(f"the cause is {secret}")

    order = paid(conversation)
    monkeypatch.setattr(handlers, "handle", broken)
    lost = stripe_events.completed(conversation)
    stripe_events.deliver(lost)
    event = StripeEvent.objects.get(event_id=lost["id"])
    StripeEvent.objects.filter(pk=event.pk).update(last_error=f"the cause is {secret}")
    page = message_after(support, confirm(support, event, "replay_event"))
    StripeEvent.objects.filter(pk=event.pk).update(last_error=f"the cause is {secret}")
    action = SupportAction.objects.get()
    assert "the cause is sk_[redacted]" in action.outcome
    for url in (f"billing/stripeevent/{event.pk}", f"billing/order/{order.pk}"):
        page += support.get(f"/admin/{url}/").content.decode()
    page += support.get(f"/admin/support/supportaction/{action.pk}/").content.decode()
    assert "the cause is sk_[redacted]" in page
    assert secret not in page + str(action.changes) + action.outcome


def test_a_settled_event_offers_no_replay(support: Client, order: Order) -> None:
    event = StripeEvent.objects.get()
    page = support.get(url_of(event, "replay_event")).content.decode()
    assert "would change nothing" in page
    assert "<form method" not in page.split("confirm")[1]


def test_an_event_marked_as_handled_leaves_the_list_of_waiting_events(
    support: Client, conversation: Conversation
) -> None:
    lost = stripe_events.completed(conversation, metadata={"user_id": "1", "conversation_id": "9"})
    stripe_events.deliver(lost)
    event = StripeEvent.objects.get()
    assert "1 unmatched" in support.get("/admin/").content.decode()
    confirm(support, event, "mark_handled")
    assert "1 unmatched" not in support.get("/admin/").content.decode()
    event.refresh_from_db()
    assert event.status == EventStatus.UNMATCHED


def test_an_order_that_is_no_duplicate_is_not_marked_as_handled(
    support: Client, order: Order
) -> None:
    assert "Nothing to do." in message_after(support, confirm(support, order, "mark_handled"))
    assert not SupportAction.objects.done().exists()
    Order.objects.update(is_duplicate=True)  # it becomes one later
    assert list(support.get("/admin/billing/order/?state=to_refund").context["cl"].result_list)


# --- Money ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"status": "failed", "grant": None}, {"stripe_payment_intent_id": None}]
)
def test_an_order_that_no_money_was_received_for_is_not_refunded(
    finance: Client, order: Order, refunds: Refunds, change: dict[str, Any]
) -> None:
    """Also by a form that was opened before."""
    form = {"token": str(uuid.uuid4()), "reason": REASON, "amount": "20", "expected_refunded": "0"}
    Order.objects.update(**change)
    answer = finance.post(url_of(order, "refund"), form)
    assert "No money was received for it." in message_after(finance, answer)
    assert refunds.calls == 0
    assert not SupportAction.objects.exists()


def test_a_full_refund_is_requested_and_its_result_arrives_by_webhook(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    page = message_after(finance, confirm(finance, order, "refund"))
    assert "Refund of 20.00 USD requested" in page
    assert list(refunds.requested.values()) == [2000]
    assert Order.objects.get().refunded_at is None
    stripe_events.deliver(refund_event(order, "re_1", 2000))
    assert Order.objects.get().refunded_at is not None
    assert ApiKey.objects.get().state == "revoked"
    page = finance.get(f"/admin/billing/order/{order.pk}/").content.decode()
    assert "re_1" in page
    assert "refunded" in page


def test_after_a_partial_refund_no_more_than_the_rest_can_be_refunded(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    confirm(finance, order, "refund", amount="5.50")
    assert "No more than 14.50 USD" in message_after(
        finance, confirm(finance, order, "refund", amount="14.51")
    )
    stripe_events.deliver(refund_event(order, "re_1", 550))
    confirm(finance, order, "refund")
    assert list(refunds.requested.values()) == [550, 1450]
    page = finance.get(url_of(order, "refund")).content.decode()
    assert "refunded or requested already" in page


def test_a_refund_that_failed_at_the_bank_can_be_repeated(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    confirm(finance, order, "refund")
    stripe_events.deliver(refund_event(order, "re_1", 2000))
    stripe_events.deliver(refund_event(order, "re_1", 2000, "failed"))
    confirm(finance, order, "refund")
    assert list(refunds.requested.values()) == [2000, 2000]


def test_a_refund_form_sent_twice_refunds_once(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    token = str(uuid.uuid4())
    url = url_of(order, "refund")
    form = {"token": token, "reason": REASON, "amount": "20", "expected_refunded": "0"}
    assert finance.post(url, form).status_code == 302
    assert finance.post(url, form).status_code == 302
    assert refunds.calls == 1


def test_two_people_do_not_refund_the_same_money(
    finance: Client, staff: StaffClient, order: Order, refunds: Refunds
) -> None:
    root, url = staff("root"), url_of(order, "refund")
    form = {"reason": REASON, "amount": "5", "expected_refunded": "0"}
    finance.post(url, {**form, "token": str(uuid.uuid4())})
    answer = root.post(url, {**form, "token": str(uuid.uuid4())})
    assert "meanwhile" in message_after(root, answer)
    assert refunds.calls == 1


def test_a_refund_without_an_answer_is_sent_again_under_the_same_idempotency_key(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    refunds.failure = StripeFailed("create a refund")
    page = confirm(finance, order, "refund")
    assert page.status_code == 200
    assert "Send the form again" in page.content.decode()
    token = SupportAction.objects.get().token
    refunds.failure = None
    confirm(finance, order, "refund")  # a fresh page resumes what has no end yet
    assert list(refunds.requested) == [f"payflow-refund-{token}"]
    assert SupportAction.objects.get().succeeded


def unanswered(client: Client, order: Order, refunds: Refunds, amount: str = "5.00") -> None:
    """A refund that Stripe may have made, without our hearing of it."""
    refunds.failure = StripeFailed("create a refund")
    assert confirm(client, order, "refund", amount=amount).status_code == 200
    refunds.failure = None


def test_a_refund_that_an_event_reported_is_not_sent_again(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds)
    stripe_events.deliver(refund_event(order, "re_real", 500))
    page = message_after(finance, confirm(finance, order, "refund"))
    assert "Stripe had made the refund of 5.00 USD (re_real)" in page
    assert refunds.requested == {}
    action = SupportAction.objects.get()
    assert (action.succeeded, action.stripe_refund_id) == (True, "re_real")


def test_a_refund_that_an_event_reported_counts_once(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds)
    stripe_events.deliver(refund_event(order, "re_real", 500))
    page = finance.get(url_of(order, "refund"))
    assert page.context["form"]["expected_refunded"].value() == 500


def test_an_earlier_refund_or_that_of_another_action_is_no_answer(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    stripe_events.deliver(refund_event(order, "re_dashboard", 500))
    order.refunds.update(created_at=timezone.now() - timedelta(hours=1))
    confirm(finance, order, "refund", amount="5.00")
    stripe_events.deliver(refund_event(order, "re_1", 500))
    unanswered(finance, order, refunds)
    confirm(finance, order, "refund")
    assert len(refunds.requested) == 2
    assert [action.stripe_refund_id for action in SupportAction.objects.order_by("pk")] == [
        "re_1",
        "re_2",
    ]


def test_a_refund_is_not_sent_again_once_stripe_forgets_its_idempotency_key(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds)
    page = finance.get(url_of(order, "refund"))
    form = {name: page.context["form"][name].value() for name in page.context["form"].fields}
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=1)):
        agent = User.objects.get(pk=finance.session["_auth_user_id"])
        finance.logout()  # the session of the day before has ended
        finance.force_login(agent)
        assert "Stripe&#x27;s dashboard" in finance.get(url_of(order, "refund")).content.decode()
        answer = finance.post(url_of(order, "refund"), form)
        assert "Stripe&#x27;s dashboard" in message_after(finance, answer)
        assert refunds.calls == 1
        assert SupportAction.objects.get().succeeded is None
        stripe_events.deliver(refund_event(order, "re_late", 500))
        confirm(finance, order, "refund")
    assert refunds.calls == 1
    assert SupportAction.objects.get().stripe_refund_id == "re_late"


def test_another_amount_is_refused_while_a_refund_has_no_answer(
    finance: Client, staff: StaffClient, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds, "20.00")
    root = staff("root")
    for changed in ({}, {"token": str(uuid.uuid4())}):
        answer = confirm(root, order, "refund", amount="5.00", **changed)
        assert "A refund of 20.00 USD is without Stripe&#x27;s answer" in message_after(
            root, answer
        )
    assert refunds.requested == {}
    assert SupportAction.objects.get().succeeded is None


def test_who_sends_a_refund_again_is_recorded(
    finance: Client, staff: StaffClient, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds)
    root = staff("root")
    assert "without an answer" in root.get(url_of(order, "refund")).content.decode()
    confirm(root, order, "refund", reason="She is on leave.")
    action = SupportAction.objects.get()
    assert action.actor.email == "finance@staff.example.com"
    assert action.changes["sent again by"] == ["", "root@staff.example.com: She is on leave."]


def test_a_refund_whose_answer_could_not_be_stored_is_not_sent_under_another_key(
    finance: Client, order: Order, refunds: Refunds, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = SupportAction.save

    def full(self: SupportAction, **options: Any) -> None:
        if options.get("update_fields"):
            raise DatabaseError("the disk is full")
        save(self, **options)

    form = {"token": str(uuid.uuid4()), "reason": REASON, "amount": "20", "expected_refunded": "0"}
    with monkeypatch.context() as patched:
        patched.setattr(SupportAction, "save", full)
        with pytest.raises(DatabaseError):
            finance.post(url_of(order, "refund"), form)
    assert len(refunds.requested) == 1
    assert SupportAction.objects.get().succeeded is None
    confirm(finance, order, "refund")
    assert len(refunds.requested) == 1
    assert SupportAction.objects.get().stripe_refund_id == "re_1"


def test_a_refusal_by_stripe_is_shown_and_can_be_tried_again(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    refunds.failure = client.RefundRefused("Your balance is too low.")
    assert "balance is too low" in message_after(finance, confirm(finance, order, "refund"))
    refunds.failure = None
    confirm(finance, order, "refund")
    assert list(refunds.requested.values()) == [2000]


@pytest.mark.parametrize("amount", ["0", "-1", "abc", "1.234", "1e3000", "NaN", "Infinity", ""])
def test_an_invalid_amount_is_an_error_on_the_form(
    finance: Client, order: Order, refunds: Refunds, amount: str
) -> None:
    assert confirm(finance, order, "refund", amount=amount).status_code == 200
    assert refunds.calls == 0
    assert not SupportAction.objects.exists()


def test_five_with_a_decimal_comma_is_not_five_hundred(
    finance: Client, conversation: Conversation, refunds: Refunds
) -> None:
    large = paid(conversation, amount_total=200_000)
    page = confirm(finance, large, "refund", amount="5,00")
    assert "Write it like 1,234.56" in page.content.decode()
    assert refunds.calls == 0
    confirm(finance, large, "refund", amount="1,234.50")
    assert list(refunds.requested.values()) == [123_450]


def test_a_refunded_duplicate_leaves_the_dashboard(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    second = paid(order.conversation)
    assert second.is_duplicate
    listed = finance.get("/admin/billing/order/?state=duplicate").content.decode()
    assert f"Order {second.pk}" in listed
    assert "paid twice" in finance.get("/admin/").content.decode()
    confirm(finance, second, "refund")
    stripe_events.deliver(refund_event(second, "re_1", 2000))
    assert "nothing to refund" in finance.get("/admin/").content.decode()
    assert ApiKey.objects.get().revoked_at is None


def test_reconcile_records_a_payment_without_an_event(
    support: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = stripe_events.session(conversation)
    conversation.mark_pending(session["id"])
    monkeypatch.setattr(client, "retrieve_session", {session["id"]: session}.get)
    confirm(support, conversation, "reconcile")
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.PAID
    action = SupportAction.objects.get()
    assert action.changes == {"payment_status": ["pending", "paid"]}
    assert action.outcome == "Reconciled: order completed."


def test_reconcile_says_when_stripe_does_not_answer(
    support: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(session_id: str) -> None:
        raise client.StripeFailed("retrieve a Checkout Session")

    conversation.mark_pending("cs_test_1")
    monkeypatch.setattr(client, "retrieve_session", silent)
    page = message_after(support, confirm(support, conversation, "reconcile"))
    assert "Nothing was changed" in page
    assert SupportAction.objects.get().succeeded is False


def test_an_unexpected_failure_is_recorded_too(
    support: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(key_id: int, **_: object) -> None:
        raise RuntimeError("the cause")

    monkeypatch.setattr(services, "revoke", broken)
    with pytest.raises(RuntimeError, match="the cause"):
        confirm(support, issued_key(order), "revoke_key")
    action = SupportAction.objects.get()
    assert action.succeeded is False
    assert action.outcome == "It failed: RuntimeError."
