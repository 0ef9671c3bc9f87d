"""The outbox and webhook endpoints at the desk."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from accounts.models import User
from billing.models import Order
from notifications import endpoints, mail
from notifications.models import Endpoint, MailStatus, Notification
from support.models import SupportAction
from support.tests.conftest import StaffClient
from support.tests.test_dashboard import cards
from testing.keys import issued_key
from testing.mail_server import running

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/events"


def act(client: Client, subject: Notification | Endpoint, kind: str) -> None:
    name = type(subject).__name__.lower()
    url = reverse(f"admin:notifications_{name}_action", args=[subject.pk, kind])
    assert client.get(url).status_code == 200
    form = {"reason": "The customer asked.", "token": str(uuid.uuid4()), "next": ""}
    assert client.post(url, form).status_code == 302


@pytest.mark.http
def test_a_bounce_is_shown_and_sent_again_as_another_message(
    support: Client, order: Order, settings: Settings
) -> None:
    with running(settings) as server:
        server.recipients = lambda address: "550 no such user"
        assert list(mail.send_due()) == ["bounced"]
        card = cards(support)["Mail not delivered, 30 days"]
        assert (card.value, card.note) == ("1", "1 bounced, 0 not sent")
        listed = support.get("/admin/notifications/notification/?mail=undelivered").content.decode()
        assert "bounced" in listed
        row = Notification.objects.get(kind="order.completed")
        page = reverse("admin:notifications_notification_change", args=[row.pk])
        assert "550 no such user" in support.get(page).content.decode()
        act(support, row, "resend_mail")
        server.recipients = lambda address: None
        assert list(mail.send_due()) == ["sent"]
    (message,) = server.received
    assert message["Message-ID"] == f"<{row.public_id}.1@example.com>"
    action = SupportAction.objects.get(kind="resend_mail")
    assert (action.notification, action.customer) == (row, order.user)


def test_a_mail_that_waits_is_not_sent_again(support: Client, order: Order) -> None:
    row = Notification.objects.get(kind="order.completed")
    url = reverse("admin:notifications_notification_action", args=[row.pk, "resend_mail"])
    assert "It waits to be sent." in support.get(url).content.decode()
    assert not mail.resend(row.pk)
    assert not mail.resend(Notification.objects.get(kind="key.issued").pk)


def test_only_support_sends_mail_again(staff: StaffClient, order: Order) -> None:
    row = Notification.objects.get(kind="order.completed")
    url = reverse("admin:notifications_notification_action", args=[row.pk, "resend_mail"])
    assert staff("auditor").post(url).status_code == 403
    assert (
        staff("none").get(reverse("admin:notifications_notification_changelist")).status_code == 403
    )


def test_an_endpoint_is_added_and_its_secret_shown_once(staff: StaffClient) -> None:
    root = staff("root")
    url = reverse("admin:notifications_endpoint_add")
    assert root.get(url).status_code == 200
    refused = root.post(url, {"url": "http://hooks.example.com/"})
    assert "It must be an https URL." in refused.content.decode()
    shown = root.post(url, {"url": URL})
    endpoint = Endpoint.objects.get()
    (secret,) = endpoints.secrets_of(endpoint)
    assert secret in shown.content.decode()
    assert "no-store" in shown.headers["Cache-Control"]
    page = reverse("admin:notifications_endpoint_change", args=[endpoint.pk])
    for other in (page, reverse("admin:notifications_endpoint_changelist")):
        content = root.get(other).content.decode()
        assert URL in content
        assert secret not in content
        assert endpoint.secret not in content
    action = SupportAction.objects.get()
    assert (action.kind, action.endpoint) == ("add_endpoint", endpoint)
    assert secret not in f"{action.reason}{action.outcome}{action.changes}"
    assert staff("support").get(url).status_code == 403


def test_a_failed_endpoint_is_shown_until_somebody_enables_it(support: Client) -> None:
    endpoint, _ = endpoints.add(URL)
    assert "Webhooks" not in cards(support)
    endpoints.disable(endpoint.pk, "It answered 410 Gone.")
    assert cards(support)["Webhooks"].value == "1"
    act(support, endpoint, "enable_endpoint")
    assert "Webhooks" not in cards(support)
    act(support, endpoint, "disable_endpoint")
    assert "Webhooks" not in cards(support)  # it was meant
    endpoint.refresh_from_db()
    assert endpoint.state == "disabled"


def test_the_reason_of_staff_is_in_the_mail_to_the_owner(
    support: Client, order: Order, owner: tuple[User, Client]
) -> None:
    key = issued_key(order)
    url = reverse("admin:apikeys_apikey_action", args=[key.pk, "suspend_key"])
    form = {"reason": "Seen in public.", "token": str(uuid.uuid4()), "next": ""}
    assert support.post(url, form).status_code == 302
    row = Notification.objects.get(kind="key.suspended")
    message = mail.compose(row)
    assert message is not None
    assert message.to == [owner[0].email]
    assert "The reason: Seen in public." in str(message.body)
    assert key.key_prefix not in str(message.message())
    assert row.mail_status == MailStatus.WAITING
