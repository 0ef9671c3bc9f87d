"""What causes each kind of mail, as a customer, staff or Stripe causes it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from accounts.tokens import issue_access
from apikeys.models import ApiKey
from billing.models import Order
from notifications.models import Notification
from payflow import worker
from support.tests.test_sign_in import set_up
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import PASSWORD, ConversationFactory, UserFactory
from testing.keys import issued_key

PAYMENT, AMOUNT = "pi_of_mail", 123450
REASON = "You asked on the phone <b>."
_MONTHS = {
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "de": [
        "Jan.",
        "Feb.",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "Aug.",
        "Sept.",
        "Okt.",
        "Nov.",
        "Dez.",
    ],
}


def shown(at: datetime | str, language: str) -> str:
    """A time as a mail in this language has it."""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    day = f"{at.day}." if language == "de" else str(at.day)
    return f"{day} {_MONTHS[language][at.month - 1]} {at.year}, {at:%H:%M} UTC"


class Scene:
    """A customer who speaks a language, their conversation, and a member of staff."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.user = UserFactory.create(
            email="ada@example.com", password=PASSWORD, language=language
        )
        self.conversation = ConversationFactory.create(user=self.user, title="Weather bot")
        self.currency, self.amount = "usd", AMOUNT

    @property
    def order(self) -> Order:
        return Order.objects.earliest("pk")

    @property
    def key(self) -> ApiKey:
        return issued_key(self.order)

    @cached_property
    def api(self) -> APIClient:
        return bearer(issue_access(self.user))

    @cached_property
    def browser(self) -> Client:
        """Signed in as the customer, by the password."""
        client = Client(headers={"Accept-Language": self.language})
        form = {"username": self.user.email, "password": PASSWORD}
        assert client.post("/accounts/login/", form).status_code == 302
        return client

    @cached_property
    def _desk(self) -> Client:
        client = Client()
        client.force_login(UserFactory.create(is_staff=True, is_superuser=True))
        return client

    def stripe_tells(self, kind: str, stripe_object: stripe.Json) -> None:
        assert stripe.deliver(stripe.event(kind, stripe_object)).status_code == 200

    def session(self, **fields: Any) -> stripe.Json:
        price = {"amount_total": self.amount, "currency": self.currency}
        return stripe.session(self.conversation, **{"payment_intent": PAYMENT, **price, **fields})

    def pays(self, **fields: Any) -> None:
        self.stripe_tells("checkout.session.completed", self.session(**fields))

    def staff_do(self, kind: str, subject: ApiKey | Any) -> None:
        opts = subject._meta
        url = reverse(f"admin:{opts.app_label}_{opts.model_name}_action", args=[subject.pk, kind])
        form = {"reason": REASON, "token": str(uuid.uuid4()), "next": ""}
        assert self._desk.post(url, form).status_code == 302

    def makes_a_key(self, name: str, **fields: Any) -> None:
        answer = self.api.post("/api/api-keys", {"name": name, **fields}, format="json")
        assert answer.status_code == 201, answer.content

    def facts(self, row: Notification) -> dict[str, str]:
        """What the words of a case name in braces."""
        facts = {name: str(value) for name, value in row.data.items()}
        times = (name for name in facts if name.endswith("At"))
        return facts | {name: shown(row.data[name], self.language) for name in times}


# --- Payments -------------------------------------------------------------------------------------


def pays(scene: Scene) -> None:
    scene.pays()


def pays_in_yen(scene: Scene) -> None:
    scene.currency, scene.amount = "jpy", 2000
    scene.pays()


def pays_in_dinar(scene: Scene) -> None:
    scene.currency, scene.amount = "kwd", 1_234_500
    scene.pays()


def pays_slowly(scene: Scene) -> None:
    scene.pays(payment_status="unpaid")


def fails_to_pay_slowly(scene: Scene) -> None:
    session = scene.session(payment_status="unpaid")
    scene.stripe_tells("checkout.session.completed", session)
    scene.stripe_tells("checkout.session.async_payment_failed", session)


def is_declined(scene: Scene) -> None:
    declined = stripe.declined_intent(scene.conversation)
    scene.stripe_tells("payment_intent.payment_failed", declined)


def pays_twice(scene: Scene) -> None:
    scene.pays()
    scene.pays(payment_intent="pi_of_second", amount_total=5000)


def gets_back(amount: int, payment: str = PAYMENT) -> Callable[[Scene], None]:
    def cause(scene: Scene) -> None:
        scene.pays()
        if payment != PAYMENT:
            scene.pays(payment_intent=payment, amount_total=amount)
        scene.stripe_tells("refund.created", stripe.refund(payment, amount))

    return cause


def bank_returns_a_refund(scene: Scene) -> None:
    scene.pays()
    refund = stripe.refund(PAYMENT, 500)
    scene.stripe_tells("refund.created", refund)
    scene.stripe_tells("refund.failed", {**refund, "status": "failed"})


def disputes(*decisions: str) -> Callable[[Scene], None]:
    def cause(scene: Scene) -> None:
        scene.pays()
        dispute = stripe.dispute(PAYMENT)
        scene.stripe_tells("charge.dispute.created", dispute)
        for status in decisions:
            scene.stripe_tells("charge.dispute.closed", {**dispute, "status": status})

    return cause


# --- Keys -----------------------------------------------------------------------------------------


def staff_do(*kinds: str) -> Callable[[Scene], None]:
    """To the key of a payment, or with `…_grant` to all its keys, of which there are two."""

    def cause(scene: Scene) -> None:
        scene.pays()
        of_grant = kinds[-1].endswith("_grant")
        if of_grant:
            scene.makes_a_key("CI & more")
        for kind in kinds:
            scene.staff_do(kind, scene.order.grant if of_grant else scene.key)

    return cause


def rotates(scene: Scene) -> None:
    scene.pays()
    assert scene.api.post(f"/api/api-keys/{scene.key.pk}/reveal").status_code == 200
    assert scene.api.post(f"/api/api-keys/{scene.key.pk}/rotate").status_code == 201


def makes_a_key_of_90_days(scene: Scene) -> None:
    scene.pays()
    ends_at = timezone.now() + timedelta(days=90)
    scene.makes_a_key("CI", expiresAt=ends_at.isoformat())


def worker_looks_for_keys_that_end() -> None:
    (job,) = (job for job in worker.JOBS if job.name == "keys that end")
    worker.run(job)


# --- Accounts -------------------------------------------------------------------------------------


def signs_in_as_staff(scene: Scene) -> None:
    User.objects.update(is_staff=True)
    form = {"username": scene.user.email, "password": PASSWORD}
    assert Client().post("/admin/login/", form).status_code == 302


def signs_up(scene: Scene, email: str = "new@example.com") -> None:
    client = Client(headers={"Accept-Language": scene.language})
    form = {"email": email, "password1": PASSWORD}
    assert client.post("/accounts/signup/", form).status_code == 302


def signs_up_again(scene: Scene) -> None:
    signs_up(scene, scene.user.email)


def forgets_the_password(scene: Scene) -> None:
    Client().post("/accounts/password_reset/", {"email": scene.user.email})


def changes_the_password(scene: Scene) -> None:
    new = dict.fromkeys(("new_password1", "new_password2"), "another password of the tests")
    scene.browser.post("/accounts/password_change/", {"old_password": PASSWORD, **new})


def changes_the_address(scene: Scene) -> None:
    form = {"email": "other@example.com", "password": PASSWORD}
    scene.browser.post("/account/address/", form)


def adds_a_second_factor(scene: Scene) -> None:
    with time_machine.travel(timezone.now(), tick=False):  # a code is good for half a minute
        set_up(scene.browser)
