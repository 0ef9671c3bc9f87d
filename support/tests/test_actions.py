"""Actions: a confirmation, a reason, the API's own service, and a trace that says it all."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
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
from support.models import Kind, SupportAction
from support.tests.conftest import StaffClient, paid
from testing import stripe_events
from testing.clients import bearer
from testing.factories import ConversationFactory
from testing.keys import issued_key

REASON = "The customer asked on the phone."


def url_of(subject: Any, kind: Kind) -> str:
    opts = subject._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_action", args=[subject.pk, kind])


def confirm(client: Client, subject: Any, kind: Kind, **changed: Any) -> Any:
    """Open the confirmation page and send its form as it stands, with a reason."""
    url = url_of(subject, kind)
    page = client.get(url)
    assert page.status_code == 200
    form = page.context["form"]
    values = {name: form[name].value() for name in form.fields}
    fields = {name: "" if value is None else value for name, value in values.items()}
    return client.post(url, {**fields, "reason": REASON, **changed})


def told(client: Client, response: Any) -> str:
    """The message on the page that the action ends on."""
    assert response.status_code == 302
    return client.get(response.headers["Location"]).content.decode()


class Refunds:
    """Stripe's answers to refunds, and what was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self.calls = 0
        self.failure: Exception | None = None

    def __call__(self, intent_id: str, *, amount: int, idempotency_key: str) -> str:
        self.calls += 1
        if self.failure:
            raise self.failure
        self.asked[idempotency_key] = amount
        return f"re_{list(self.asked).index(idempotency_key) + 1}"


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


def authenticate_key(order: Order) -> ApiKey:
    return issued_key(order)


# --- The form -------------------------------------------------------------------------------------


def test_nothing_happens_without_a_reason(support: Client, order: Order) -> None:
    page = confirm(support, authenticate_key(order), Kind.REVOKE_KEY, reason="  ")
    assert page.status_code == 200
    assert "This field is required" in page.content.decode()
    assert not SupportAction.objects.exists()
    assert ApiKey.objects.get().revoked_at is None


@pytest.mark.parametrize("secret", ["sk_" + "0f" * 32, "sk_live_4eC39HqLyjWDar", "whsec_abcdef12"])
def test_a_secret_in_a_reason_is_refused_and_not_repeated(
    support: Client, order: Order, secret: str
) -> None:
    page = confirm(
        support, authenticate_key(order), Kind.SUSPEND_KEY, reason=f"He pasted {secret} to us."
    )
    assert "Leave it out" in page.content.decode()
    assert secret not in page.content.decode()
    assert not SupportAction.objects.exists()


def test_a_get_changes_nothing(support: Client, order: Order) -> None:
    assert support.get(url_of(authenticate_key(order), Kind.REVOKE_KEY)).status_code == 200
    assert ApiKey.objects.get().revoked_at is None
    assert not SupportAction.objects.exists()


def test_a_form_sent_twice_acts_once(support: Client, order: Order) -> None:
    token = str(uuid.uuid4())
    for _ in range(2):
        answer = confirm(support, order, Kind.MARK_HANDLED, token=token)
        assert answer.status_code == 302
    assert SupportAction.objects.count() == 1


def test_a_form_of_one_key_does_nothing_to_another(support: Client, order: Order) -> None:
    other = paid(ConversationFactory.create())
    token = str(uuid.uuid4())
    confirm(support, authenticate_key(order), Kind.REVOKE_KEY, token=token)
    page = told(support, confirm(support, authenticate_key(other), Kind.REVOKE_KEY, token=token))
    assert "used for something else" in page
    assert ApiKey.objects.get(pk=authenticate_key(other).pk).revoked_at is None


def test_an_action_leads_back_to_where_it_began_and_nowhere_else(
    support: Client, order: Order
) -> None:
    here = f"/admin/billing/order/{order.pk}/"
    assert (
        confirm(support, authenticate_key(order), Kind.SUSPEND_KEY, next=here).headers["Location"]
        == here
    )
    away = confirm(support, authenticate_key(order), Kind.RESTORE_KEY, next="https://evil.example/")
    assert away.headers["Location"] == f"/admin/apikeys/apikey/{authenticate_key(order).pk}/"


# --- Keys -----------------------------------------------------------------------------------------


def test_a_revoked_key_stops_and_its_owner_reads_why(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    user, browser = owner
    _, secret = services.reveal(user_id=user.pk, key_id=authenticate_key(order).pk)
    assert bearer(secret).get("/api/conversations").status_code == 200
    confirm(support, authenticate_key(order), Kind.REVOKE_KEY)
    assert bearer(secret).get("/api/conversations").status_code == 401
    page = browser.get("/keys").content.decode()
    assert "Revoked by support" in page
    assert REASON in page
    assert secret[:20] in page


def test_revoking_leaves_who_when_why_and_what_changed(support: Client, order: Order) -> None:
    confirm(support, authenticate_key(order), Kind.REVOKE_KEY)
    trace = SupportAction.objects.get()
    assert trace.actor.email == "support@staff.example.com"
    assert trace.reason == REASON
    assert (trace.customer, trace.api_key_id) == (order.user, authenticate_key(order).pk)
    assert trace.succeeded
    assert trace.finished_at is not None
    assert trace.changes["revoked_reason"] == ["", REASON]
    page = support.get(f"/admin/support/supportaction/{trace.pk}/").content.decode()
    assert REASON in page
    assert "revoked_at" in page


def test_nobody_else_reads_the_reason(support: Client, order: Order) -> None:
    confirm(support, authenticate_key(order), Kind.REVOKE_KEY)
    stranger = Client()
    stranger.force_login(paid(ConversationFactory.create()).user)
    assert REASON not in stranger.get("/keys").content.decode()


def test_a_key_is_suspended_and_restored(support: Client, order: Order) -> None:
    confirm(support, authenticate_key(order), Kind.SUSPEND_KEY)
    assert ApiKey.objects.get().suspended_at is not None
    confirm(support, authenticate_key(order), Kind.RESTORE_KEY)
    assert ApiKey.objects.get().suspended_at is None
    assert SupportAction.objects.done().count() == 2


def disputed(order: Order, status: str) -> None:
    intent = order.stripe_payment_intent_id or ""
    dispute = stripe_events.dispute(intent, status, id=f"du_of_{intent}")
    event = stripe_events.event("charge.dispute.updated", dispute)
    assert stripe_events.deliver(event).status_code == 200


def test_what_staff_suspend_in_a_dispute_stays_suspended_when_it_is_won(
    support: Client, order: Order
) -> None:
    disputed(order, "needs_response")
    confirm(support, authenticate_key(order), Kind.SUSPEND_KEY)
    disputed(order, "won")
    assert ApiKey.objects.get().state == "suspended"
    page = support.get(url_of(authenticate_key(order), Kind.SUSPEND_KEY)).content.decode()
    assert "It is suspended." in page
    confirm(support, authenticate_key(order), Kind.RESTORE_KEY)
    assert ApiKey.objects.get().state == "active"


def test_a_key_that_staff_restore_in_a_dispute_works_when_it_is_won(
    support: Client, order: Order
) -> None:
    confirm(support, authenticate_key(order), Kind.SUSPEND_KEY)
    disputed(order, "needs_response")
    confirm(support, authenticate_key(order), Kind.RESTORE_KEY)
    assert ApiKey.objects.get().state == "suspended"
    disputed(order, "won")
    assert ApiKey.objects.get().state == "active"


def test_what_staff_revoke_after_a_refund_stays_revoked_when_that_fails(
    support: Client, order: Order
) -> None:
    stripe_events.deliver(refund_event(order, "re_1", 2000))
    confirm(support, authenticate_key(order), Kind.REVOKE_KEY)
    assert SupportAction.objects.get().changes["revoked_reason"] == ["", REASON]
    page = support.get(url_of(authenticate_key(order), Kind.REVOKE_KEY)).content.decode()
    assert "It is revoked." in page
    stripe_events.deliver(refund_event(order, "re_1", 2000, "failed"))
    order.conversation.refresh_from_db()
    assert order.conversation.is_paid
    assert ApiKey.objects.get().revoked_reason == REASON


def test_a_stopped_grant_stops_its_keys_and_its_owner_reads_why(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    user, browser = owner
    _, secret = services.reveal(user_id=user.pk, key_id=authenticate_key(order).pk)
    assert order.grant is not None
    confirm(support, order.grant, Kind.STOP_GRANT)
    trace = SupportAction.objects.get()
    assert (trace.grant, trace.customer) == (order.grant, user)
    assert trace.changes["stopped_reason"] == ["", REASON]
    assert bearer(secret).get("/api/conversations").status_code == 401
    page = browser.get("/keys").content.decode()
    assert REASON in page
    assert browser.post("/keys/create", {"name": "x"}).status_code == 409
    disputed(order, "needs_response")
    disputed(order, "won")
    assert bearer(secret).get("/api/conversations").status_code == 401
    page = support.get(url_of(order.grant, Kind.STOP_GRANT)).content.decode()
    assert "It is stopped." in page
    confirm(support, order.grant, Kind.RESUME_GRANT)
    assert bearer(secret).get("/api/conversations").status_code == 200
    assert REASON not in browser.get("/keys").content.decode()


def test_stopping_a_key_does_not_stop_its_owner_making_another(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    confirm(support, authenticate_key(order), Kind.SUSPEND_KEY)
    assert owner[1].post("/keys/create", {"name": "x"}).status_code == 200


def test_a_reveal_is_resent_without_minting_anything(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    before = ApiKey.objects.get()
    confirm(support, before, Kind.RESEND_REVEAL)
    after = ApiKey.objects.get()
    assert (after.key_hash, after.revealed_at) == (before.key_hash, None)
    browser = owner[1]
    assert "asks you to reveal" in browser.get("/keys").content.decode()
    services.reveal(user_id=order.user_id, key_id=before.pk)
    assert "asks you to reveal" not in browser.get("/keys").content.decode()


def test_a_revealed_key_is_never_offered_again(support: Client, order: Order) -> None:
    key = authenticate_key(order)
    page = support.get(url_of(key, Kind.RESEND_REVEAL))
    fields = {name: page.context["form"][name].value() or "" for name in ("token", "next")}
    services.reveal(user_id=order.user_id, key_id=key.pk)
    answer = support.post(url_of(key, Kind.RESEND_REVEAL), {**fields, "reason": REASON})
    assert "It was revealed before" in told(support, answer)
    assert not SupportAction.objects.done().exists()
    assert "It was revealed before" in support.get(page.request["PATH_INFO"]).content.decode()


def test_what_was_done_meanwhile_is_refused_and_said(support: Client, order: Order) -> None:
    key = authenticate_key(order)
    page = support.get(url_of(key, Kind.REVOKE_KEY))
    token = page.context["form"]["token"].value()
    services.revoke(key.pk, reason="Deleted by its owner.")
    answer = support.post(url_of(key, Kind.REVOKE_KEY), {"token": token, "reason": REASON})
    assert "revoked meanwhile" in told(support, answer)
    trace = SupportAction.objects.get()
    assert trace.succeeded is False
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
        answer = confirm(support, event, Kind.REPLAY_EVENT)
        assert "RuntimeError: the cause" in told(support, answer)
    confirm(support, event, Kind.REPLAY_EVENT)
    assert StripeEvent.objects.get().status == EventStatus.PROCESSED
    assert Order.objects.get().conversation_id == conversation.pk
    trace = SupportAction.objects.done().get()
    assert trace.event_id == event.event_id
    assert trace.changes["status"] == ["failed", "processed"]


def test_a_secret_in_an_error_is_shown_and_kept_nowhere_at_the_desk(
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
    page = told(support, confirm(support, event, Kind.REPLAY_EVENT))
    StripeEvent.objects.filter(pk=event.pk).update(last_error=f"the cause is {secret}")
    trace = SupportAction.objects.get()
    assert "the cause is sk_[redacted]" in trace.outcome
    for url in (f"billing/stripeevent/{event.pk}", f"billing/order/{order.pk}"):
        page += support.get(f"/admin/{url}/").content.decode()
    page += support.get(f"/admin/support/supportaction/{trace.pk}/").content.decode()
    assert "the cause is sk_[redacted]" in page
    assert secret not in page + str(trace.changes) + trace.outcome


def test_a_settled_event_offers_no_replay(support: Client, order: Order) -> None:
    event = StripeEvent.objects.get()
    page = support.get(url_of(event, Kind.REPLAY_EVENT)).content.decode()
    assert "would change nothing" in page
    assert "<form method" not in page.split("confirm")[1]


def test_a_handled_event_leaves_the_list_of_what_waits(
    support: Client, conversation: Conversation
) -> None:
    lost = stripe_events.completed(conversation, metadata={"user_id": "1", "conversation_id": "9"})
    stripe_events.deliver(lost)
    event = StripeEvent.objects.get()
    assert "1 unmatched" in support.get("/admin/").content.decode()
    confirm(support, event, Kind.MARK_HANDLED)
    assert "1 unmatched" not in support.get("/admin/").content.decode()
    event.refresh_from_db()
    assert event.status == EventStatus.UNMATCHED


# --- Money ----------------------------------------------------------------------------------------


def test_a_full_refund_is_asked_for_and_its_result_arrives_by_webhook(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    page = told(finance, confirm(finance, order, Kind.REFUND))
    assert "20.00 USD asked back" in page
    assert list(refunds.asked.values()) == [2000]
    assert Order.objects.get().refunded_at is None
    stripe_events.deliver(refund_event(order, "re_1", 2000))
    assert Order.objects.get().refunded_at is not None
    assert ApiKey.objects.get().state == "revoked"
    page = finance.get(f"/admin/billing/order/{order.pk}/").content.decode()
    assert "re_1" in page
    assert "refunded" in page


def test_a_part_is_refunded_and_no_more_than_the_rest_after_it(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    confirm(finance, order, Kind.REFUND, amount="5.50")
    assert "No more than 14.50 USD" in told(
        finance, confirm(finance, order, Kind.REFUND, amount="14.51")
    )
    stripe_events.deliver(refund_event(order, "re_1", 550))
    confirm(finance, order, Kind.REFUND)
    assert list(refunds.asked.values()) == [550, 1450]
    page = finance.get(url_of(order, Kind.REFUND)).content.decode()
    assert "asked back already" in page


def test_what_failed_at_the_bank_can_be_refunded_again(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    confirm(finance, order, Kind.REFUND)
    stripe_events.deliver(refund_event(order, "re_1", 2000))
    stripe_events.deliver(refund_event(order, "re_1", 2000, "failed"))
    confirm(finance, order, Kind.REFUND)
    assert list(refunds.asked.values()) == [2000, 2000]


def test_a_refund_form_sent_twice_refunds_once(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    token = str(uuid.uuid4())
    url = url_of(order, Kind.REFUND)
    form = {"token": token, "reason": REASON, "amount": "20", "expected_refunded": "0"}
    assert finance.post(url, form).status_code == 302
    assert finance.post(url, form).status_code == 302
    assert refunds.calls == 1


def test_two_people_do_not_refund_the_same_money(
    finance: Client, staff: StaffClient, order: Order, refunds: Refunds
) -> None:
    root, url = staff("root"), url_of(order, Kind.REFUND)
    form = {"reason": REASON, "amount": "5", "expected_refunded": "0"}
    finance.post(url, {**form, "token": str(uuid.uuid4())})
    answer = root.post(url, {**form, "token": str(uuid.uuid4())})
    assert "meanwhile" in told(root, answer)
    assert refunds.calls == 1


def test_a_refund_without_an_answer_is_asked_for_again_under_the_same_key(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    refunds.failure = StripeFailed("create a refund")
    page = confirm(finance, order, Kind.REFUND)
    assert page.status_code == 200
    assert "Send the form again" in page.content.decode()
    token = SupportAction.objects.get().token
    refunds.failure = None
    confirm(finance, order, Kind.REFUND)  # a fresh page resumes what has no end yet
    assert list(refunds.asked) == [f"payflow-refund-{token}"]
    assert SupportAction.objects.get().succeeded


def unanswered(client: Client, order: Order, refunds: Refunds, amount: str = "5.00") -> None:
    """A refund that Stripe may have made, without our hearing of it."""
    refunds.failure = StripeFailed("create a refund")
    assert confirm(client, order, Kind.REFUND, amount=amount).status_code == 200
    refunds.failure = None


def test_a_refund_that_an_event_told_of_is_not_asked_for_again(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds)
    stripe_events.deliver(refund_event(order, "re_real", 500))
    page = told(finance, confirm(finance, order, Kind.REFUND))
    assert "5.00 USD had been asked back from Stripe (re_real)" in page
    assert refunds.asked == {}
    trace = SupportAction.objects.get()
    assert (trace.succeeded, trace.stripe_refund_id) == (True, "re_real")


def test_what_an_event_told_of_is_not_awaited_as_well(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds)
    stripe_events.deliver(refund_event(order, "re_real", 500))
    page = finance.get(url_of(order, Kind.REFUND))
    assert page.context["form"]["expected_refunded"].value() == 500


def test_a_refund_from_before_or_of_another_entry_is_no_answer(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    stripe_events.deliver(refund_event(order, "re_dashboard", 500))
    order.refunds.update(created_at=timezone.now() - timedelta(hours=1))
    confirm(finance, order, Kind.REFUND, amount="5.00")
    stripe_events.deliver(refund_event(order, "re_1", 500))
    unanswered(finance, order, refunds)
    confirm(finance, order, Kind.REFUND)
    assert len(refunds.asked) == 2
    assert [trace.stripe_refund_id for trace in SupportAction.objects.order_by("pk")] == [
        "re_1",
        "re_2",
    ]


def test_a_refund_is_not_asked_for_again_once_stripe_forgets_its_key(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds)
    page = finance.get(url_of(order, Kind.REFUND))
    form = {name: page.context["form"][name].value() for name in page.context["form"].fields}
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=1)):
        assert "Stripe&#x27;s dashboard" in finance.get(url_of(order, Kind.REFUND)).content.decode()
        answer = finance.post(url_of(order, Kind.REFUND), form)
        assert "Stripe&#x27;s dashboard" in told(finance, answer)
        assert refunds.calls == 1
        assert SupportAction.objects.get().succeeded is None
        stripe_events.deliver(refund_event(order, "re_late", 500))
        confirm(finance, order, Kind.REFUND)
    assert refunds.calls == 1
    assert SupportAction.objects.get().stripe_refund_id == "re_late"


def test_another_amount_is_refused_while_a_refund_has_no_answer(
    finance: Client, staff: StaffClient, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds, "20.00")
    root = staff("root")
    for changed in ({}, {"token": str(uuid.uuid4())}):
        answer = confirm(root, order, Kind.REFUND, amount="5.00", **changed)
        assert "A refund of 20.00 USD is without Stripe&#x27;s answer" in told(root, answer)
    assert refunds.asked == {}
    assert SupportAction.objects.get().succeeded is None


def test_who_asks_again_for_a_refund_is_written_down(
    finance: Client, staff: StaffClient, order: Order, refunds: Refunds
) -> None:
    unanswered(finance, order, refunds)
    root = staff("root")
    assert "without an answer" in root.get(url_of(order, Kind.REFUND)).content.decode()
    confirm(root, order, Kind.REFUND, reason="She is on leave.")
    trace = SupportAction.objects.get()
    assert trace.actor.email == "finance@staff.example.com"
    assert trace.changes["asked again by"] == ["", "root@staff.example.com: She is on leave."]


def test_what_stripe_refuses_is_said_and_can_be_tried_again(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    refunds.failure = client.RefundRefused("Your balance is too low.")
    assert "balance is too low" in told(finance, confirm(finance, order, Kind.REFUND))
    refunds.failure = None
    confirm(finance, order, Kind.REFUND)
    assert list(refunds.asked.values()) == [2000]


@pytest.mark.parametrize("amount", ["0", "-1", "abc", "1.234", "1e3000", "NaN", "Infinity", ""])
def test_what_is_no_amount_is_said_on_the_form(
    finance: Client, order: Order, refunds: Refunds, amount: str
) -> None:
    assert confirm(finance, order, Kind.REFUND, amount=amount).status_code == 200
    assert refunds.calls == 0
    assert not SupportAction.objects.exists()


def test_five_with_a_decimal_comma_is_not_five_hundred(
    finance: Client, conversation: Conversation, refunds: Refunds
) -> None:
    large = paid(conversation, amount_total=200_000)
    page = confirm(finance, large, Kind.REFUND, amount="5,00")
    assert "Write it like 1,234.56" in page.content.decode()
    assert refunds.calls == 0
    confirm(finance, large, Kind.REFUND, amount="1,234.50")
    assert list(refunds.asked.values()) == [123_450]


def test_a_duplicate_leaves_home_when_it_is_refunded(
    finance: Client, order: Order, refunds: Refunds
) -> None:
    second = paid(order.conversation)
    assert second.is_duplicate
    listed = finance.get("/admin/billing/order/?state=duplicate").content.decode()
    assert f"Order {second.pk}" in listed
    assert "paid twice" in finance.get("/admin/").content.decode()
    confirm(finance, second, Kind.REFUND)
    stripe_events.deliver(refund_event(second, "re_1", 2000))
    assert "nobody waits for money" in finance.get("/admin/").content.decode()
    assert ApiKey.objects.get().revoked_at is None


def test_reconcile_records_a_payment_that_no_event_told_of(
    support: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = stripe_events.session(conversation)
    conversation.mark_pending(session["id"])
    monkeypatch.setattr(client, "retrieve_session", {session["id"]: session}.get)
    confirm(support, conversation, Kind.RECONCILE)
    conversation.refresh_from_db()
    assert conversation.payment_status == PaymentStatus.PAID
    trace = SupportAction.objects.get()
    assert trace.changes == {"payment_status": ["pending", "paid"]}
    assert trace.outcome == "Reconciled: order completed."


def test_reconcile_says_when_stripe_does_not_answer(
    support: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(session_id: str) -> None:
        raise client.StripeFailed("retrieve a Checkout Session")

    conversation.mark_pending("cs_test_1")
    monkeypatch.setattr(client, "retrieve_session", silent)
    page = told(support, confirm(support, conversation, Kind.RECONCILE))
    assert "Nothing was changed" in page
    assert SupportAction.objects.get().succeeded is False


def test_what_fails_unexpectedly_leaves_a_trace_too(
    support: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(key_id: int, **_: object) -> None:
        raise RuntimeError("the cause")

    monkeypatch.setattr(services, "revoke", broken)
    with pytest.raises(RuntimeError, match="the cause"):
        confirm(support, authenticate_key(order), Kind.REVOKE_KEY)
    trace = SupportAction.objects.get()
    assert trace.succeeded is False
    assert trace.outcome == "It failed: RuntimeError."
