"""What customers read: the state of a payment, an order and a key, and what something costs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from apikeys import services
from apikeys.models import ApiKey
from billing import fulfilment, offers
from billing.models import Order
from conversations.models import Conversation
from sandbox.testing import RunningSandbox, running
from testing import stripe_events as stripe
from testing.factories import ConversationFactory
from testing.keys import issued_key, paid_key, revealed_key

pytestmark = pytest.mark.django_db


def page_of(user: User, path: str, **headers: str) -> str:
    """A page of this user, with its white space as a browser shows it."""
    client = Client()
    client.force_login(user)
    response = client.get(path, headers=headers)
    assert response.status_code == 200, response
    return re.sub(r"\s+", " ", response.content.decode())


# --- The state of a payment ---------------------------------------------------------------------


def pending(conversation: Conversation) -> None:
    conversation.mark_pending("cs_test_open")


def expired(conversation: Conversation) -> None:
    pending(conversation)
    session = stripe.session(conversation, id="cs_test_open", status="expired")
    stripe.deliver(stripe.event("checkout.session.expired", session))


def declined(conversation: Conversation) -> None:
    intent = stripe.declined_intent(conversation)
    stripe.deliver(stripe.event("payment_intent.payment_failed", intent))


def declined_by_3ds(conversation: Conversation) -> None:
    error = {"code": "payment_intent_authentication_failure", "message": "We are unable …"}
    intent = stripe.declined_intent(conversation, last_payment_error=error)
    stripe.deliver(stripe.event("payment_intent.payment_failed", intent))


def on_its_way(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation, payment_status="unpaid"))


def failed_later(conversation: Conversation) -> None:
    session = stripe.session(conversation, payment_status="unpaid")
    stripe.deliver(stripe.event("checkout.session.completed", session))
    stripe.deliver(stripe.event("checkout.session.async_payment_failed", session))


def paid(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation, payment_intent="pi_of_page"))


def refunded(conversation: Conversation) -> None:
    paid(conversation)
    stripe.deliver(stripe.event("charge.refunded", stripe.refunded_charge("pi_of_page")))


def partly_refunded(conversation: Conversation) -> None:
    paid(conversation)
    stripe.deliver(stripe.event("refund.created", stripe.refund("pi_of_page", 500)))


def disputed(conversation: Conversation) -> None:
    paid(conversation)
    stripe.deliver(stripe.event("charge.dispute.created", stripe.dispute("pi_of_page")))


def lost(conversation: Conversation) -> None:
    paid(conversation)
    stripe.deliver(stripe.event("charge.dispute.closed", stripe.dispute("pi_of_page", "lost")))


STATES: list[tuple[Callable[[Conversation], None], str, str, bool]] = [
    (lambda _: None, "not paid", "You have not paid yet.", True),
    (pending, "not finished", "You opened the payment page and have not paid.", True),
    (expired, "abandoned", "The payment page was closed before you paid.", True),
    (declined, "declined", "The card has insufficient funds. Nothing was charged", True),
    (declined_by_3ds, "declined", "The payment was not confirmed with your bank.", True),
    (on_its_way, "on its way", "There is nothing to do", False),
    (failed_later, "failed", "Your bank did not complete the payment.", True),
    (paid, "paid", "Your payment is confirmed.", False),
    (partly_refunded, "paid, partly refunded", "A part was refunded.", False),
    (refunded, "refunded", "You can pay again.", True),
    (disputed, "disputed", "The payment is disputed with your bank.", False),
    (lost, "charged back", "Your bank took the payment back", True),
]


@pytest.mark.parametrize(
    ("happens", "label", "text", "can_pay"), STATES, ids=[case[1] for case in STATES]
)
def test_a_conversation_says_what_became_of_its_payment_and_what_to_do(
    conversation: Conversation,
    happens: Callable[[Conversation], None],
    label: str,
    text: str,
    can_pay: bool,
) -> None:
    happens(conversation)
    for path in ("/", f"/conversations/{conversation.pk}"):
        page = page_of(conversation.user, path)
        assert f">{label}</span>" in page
        assert (f'action="/conversations/{conversation.pk}/pay"' in page) is can_pay
    assert text in page


def test_the_newest_attempts_reason_is_shown_and_a_new_link_forgets_it(
    conversation: Conversation,
) -> None:
    intent = stripe.declined_intent(conversation)
    now = int(time.time())
    stripe.deliver(stripe.event("payment_intent.payment_failed", intent, created=now))
    older = stripe.declined_intent(conversation, last_payment_error={"code": "expired_card"})
    stripe.deliver(stripe.event("payment_intent.payment_failed", older, created=now - 60))
    conversation.refresh_from_db()
    assert conversation.decline_code == "insufficient_funds"
    conversation.mark_pending("cs_test_new")
    assert "not finished" in page_of(conversation.user, "/")
    conversation.refresh_from_db()
    assert (conversation.decline_code, conversation.declined_at) == ("", None)


@pytest.mark.parametrize("code", ["stolen_card", "fraudulent", "a_new_code", "", 'x"><b>'])
def test_a_reason_that_may_hint_at_fraud_or_is_unknown_is_just_a_decline(
    conversation: Conversation, code: str
) -> None:
    conversation.decline(code, timezone.now())
    page = page_of(conversation.user, f"/conversations/{conversation.pk}")
    assert "Your bank declined the card." in page
    assert code not in page or not code


def test_a_payment_that_follows_a_decline_leaves_no_trace_of_it(
    conversation: Conversation,
) -> None:
    declined(conversation)
    paid(conversation)
    conversation.refresh_from_db()
    assert (conversation.decline_code, conversation.declined_at) == ("", None)


def test_the_first_page_asks_the_database_as_often_for_many_conversations(
    conversation: Conversation,
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(conversation.user, "/")
        return len(captured)

    few = queries()
    for _ in range(5):
        on_its_way(ConversationFactory.create(user=conversation.user))
    assert queries() == few


def test_anothers_pages_are_not_found(conversation: Conversation, stranger: User) -> None:
    paid(conversation)
    order = Order.objects.get()
    client = Client()
    client.force_login(stranger)
    paths = (f"/conversations/{conversation.pk}", f"/orders/{order.pk}")
    for path in (*paths, f"/orders/{order.pk}/receipt", "/orders/99999999999999999999"):
        assert client.get(path).status_code == 404
    assert f"Order {order.pk}" not in page_of(stranger, "/orders")


# --- Orders -------------------------------------------------------------------------------------


def test_an_order_shows_amount_times_and_refunds(conversation: Conversation) -> None:
    partly_refunded(conversation)
    order = Order.objects.get()
    assert f"Order {order.pk}" in page_of(conversation.user, "/orders")
    page = page_of(conversation.user, f"/orders/{order.pk}")
    for text in ("20.00 USD", "5.00 USD", "partly refunded", conversation.title, "premium"):
        assert text in page
    times = re.findall(r"\d+ \w{3} \d{4}, \d\d:\d\d( UTC)?", page)
    assert len(times) == 3  # ordered, paid, refunded
    assert set(times) == {" UTC"}
    german = page_of(conversation.user, f"/orders/{order.pk}", **{"Accept-Language": "de"})
    assert "20,00 USD" in german


def test_an_amount_has_the_decimals_of_its_currency(conversation: Conversation) -> None:
    stripe.deliver(stripe.completed(conversation, amount_total=123456, currency="jpy"))
    assert "123,456 JPY" in page_of(conversation.user, "/orders")


@pytest.mark.parametrize("status", ["pending", "failed", "canceled", "something_new"])
def test_a_refund_that_has_not_succeeded_says_so(conversation: Conversation, status: str) -> None:
    paid(conversation)
    refund = stripe.refund("pi_of_page", 500, status=status)
    stripe.deliver(stripe.event("refund.updated", refund))
    page = page_of(conversation.user, f"/orders/{Order.objects.get().pk}")
    words = {"failed": "did not take the refund", "canceled": "cancelled"}
    assert words.get(status, "on its way") in page


@pytest.mark.http
class TestWithTheLocalStripe:
    @pytest.fixture
    def local(self, settings: Settings) -> Iterator[RunningSandbox]:
        cache.clear()
        with running(webhook=None) as sandbox:
            settings.STRIPE_API_BASE = sandbox.url
            yield sandbox

    def test_the_price_stands_on_the_pages_before_anything_is_paid(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        for path in ("/", f"/conversations/{conversation.pk}"):
            assert "Pay 20.00 USD" in page_of(conversation.user, path)
        assert "20.00 USD" in Client().get("/accounts/login/").content.decode()

    def test_the_price_is_asked_for_once_and_kept_while_stripe_is_gone(
        self,
        local: RunningSandbox,
        conversation: Conversation,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert offers.offer() is not None
        monkeypatch.setattr(offers, "FRESH_FOR", 0)
        local.add_fault(method="GET", path="/v1/prices/*", status=500)
        assert "20.00 USD" in page_of(conversation.user, "/")

    def test_the_receipt_is_stripes_page(
        self, local: RunningSandbox, conversation: Conversation
    ) -> None:
        client = Client()
        client.force_login(conversation.user)
        client.post(f"/conversations/{conversation.pk}/pay")
        conversation.refresh_from_db()
        session_id = str(conversation.stripe_session_id)
        local.pay(session_id)
        page = client.get("/payments/success", {"session_id": session_id}).content.decode()
        order = Order.objects.get()
        assert "20.00 USD" in page
        assert f'href="/orders/{order.pk}/receipt"' in page
        receipt = client.get(f"/orders/{order.pk}/receipt")
        assert receipt.status_code == 302
        assert receipt.headers["Location"].startswith(local.url)


@pytest.mark.http
def test_pages_work_and_wait_briefly_while_stripe_does_not_answer(
    conversation: Conversation, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    monkeypatch.setattr(offers, "PATIENCE", 0.2)
    page = page_of(conversation.user, f"/conversations/{conversation.pk}")
    assert "The payment page shows the price before you pay." in page
    paid(conversation)
    order = Order.objects.get()
    client = Client()
    client.force_login(conversation.user)
    receipt = client.get(f"/orders/{order.pk}/receipt")
    assert receipt.status_code == 503
    assert f'href="/orders/{order.pk}"' in receipt.content.decode()


# --- Keys ---------------------------------------------------------------------------------------


def test_a_key_is_named_for_its_conversation_and_its_payment(conversation: Conversation) -> None:
    key = paid_key(conversation)
    page = page_of(conversation.user, "/keys")
    assert f"<h2>{conversation.title}</h2>" in page
    assert f'href="/orders/{Order.objects.get().pk}"' in page
    assert fulfilment.KEY_NAME not in page
    assert key.key_prefix not in page  # of a secret that nobody has: the reveal makes another
    assert "nobody has seen it" in page
    services.rename(user_id=conversation.user_id, key_id=key.pk, name="office")
    assert "<h2>office</h2>" in page_of(conversation.user, "/keys")


def test_a_suspended_key_says_why_and_is_not_revealed(conversation: Conversation) -> None:
    paid(conversation)
    key = issued_key(Order.objects.get())
    stripe.deliver(stripe.event("charge.dispute.created", stripe.dispute("pi_of_page")))
    client = Client()
    client.force_login(conversation.user)
    assert "It does not work while the payment is disputed" in page_of(conversation.user, "/keys")
    refused = client.post(f"/keys/{key.pk}/reveal")
    assert refused.status_code == 409
    assert "suspended" in refused.content.decode()
    assert "sk_" not in refused.content.decode()
    asked = client.get(f"/keys/{key.pk}/reveal").content.decode()
    assert f'action="/keys/{key.pk}/reveal"' not in asked


def test_the_owner_reads_why_support_stopped_the_keys(conversation: Conversation) -> None:
    key = paid_key(conversation)
    services.stop_grant(key.grant_id, reason="Seen on a public page <b>")
    page = page_of(conversation.user, "/keys")
    assert "Reason: Seen on a public page &lt;b&gt;" in page


def test_a_key_that_was_shown_offers_to_replace_it(conversation: Conversation) -> None:
    key = paid_key(conversation)
    services.reveal(user_id=conversation.user_id, key_id=key.pk)
    client = Client()
    client.force_login(conversation.user)
    for response in (client.get(f"/keys/{key.pk}/reveal"), client.post(f"/keys/{key.pk}/reveal")):
        page = response.content.decode()
        assert "This key was shown before" in page
        assert f'href="/keys/{key.pk}/rotate"' in page
        assert "support" not in page


def test_a_replaced_key_says_until_when_it_works(conversation: Conversation) -> None:
    key = paid_key(conversation)
    services.reveal(user_id=conversation.user_id, key_id=key.pk)
    services.rotate(user_id=conversation.user_id, key_id=key.pk, grace=timedelta(hours=1))
    page = page_of(conversation.user, "/keys")
    assert re.search(r"A new key has replaced it. It works until [^<]+ UTC", page)


def test_only_who_may_create_a_key_sees_the_form_and_the_page_tells_why_not(
    conversation: Conversation,
) -> None:
    user = conversation.user
    page = page_of(user, "/keys")
    assert "You have no key yet" in page
    assert "/keys/create" not in page
    key = paid_key(conversation)
    services.delete(user_id=user.pk, key_id=key.pk, requested_at=timezone.now())
    page = page_of(user, "/keys")
    assert "You have no keys now" in page
    assert 'action="/keys/create"' in page
    services.stop_grant(key.grant_id, reason="Leaked")
    page = page_of(user, "/keys")
    assert "stopped by support" in page
    assert "/keys/create" not in page
    grant = services.lock_grant(key.grant_id)
    services.update_grant(grant, revoked=True, suspended=False)
    page = page_of(user, "/keys")
    assert "refunded or charged back" in page
    assert "/keys/create" not in page


def test_the_keys_page_asks_the_database_as_often_for_many_keys(
    conversation: Conversation,
) -> None:
    key = paid_key(conversation)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(conversation.user, "/keys")
        return len(captured)

    few = queries()
    for _ in range(4):
        revealed_key(conversation.user, grant=key.grant)
        paid_key(ConversationFactory.create(user=conversation.user))
    assert queries() == few
    assert ApiKey.objects.count() == 9
