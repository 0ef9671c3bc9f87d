"""Grants: payments change all keys of a grant, staff and owners change one key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from apikeys import services
from apikeys.models import ApiKey, Grant
from billing.models import Order
from conversations.models import Conversation
from testing import stripe_events as stripe
from testing.clients import bearer
from testing.factories import ConversationFactory
from testing.keys import paid_key, revealed_key

pytestmark = pytest.mark.django_db

URL = "/api/api-keys"
ApiOf = Callable[[User], APIClient]


@pytest.fixture
def issued(conversation: Conversation) -> ApiKey:
    """The key that a payment issued."""
    return paid_key(conversation)


@pytest.fixture
def api(issued: ApiKey, api_of: ApiOf) -> APIClient:
    return api_of(issued.user)


def works(secret: str) -> bool:
    return bearer(secret).get("/api/conversations").status_code == 200


def create(api: APIClient, name: str = "laptop") -> Any:
    return api.post(URL, {"name": name}, format="json")


def payment_intent() -> str:
    return Order.objects.earliest("pk").stripe_payment_intent_id or ""


def refund(status: str = "succeeded") -> None:
    told = stripe.refund(payment_intent(), id="re_of_the_first", status=status)
    assert stripe.deliver(stripe.event("refund.updated", told)).status_code == 200


def dispute(status: str) -> None:
    told = stripe.dispute(payment_intent(), status, id="du_of_the_first")
    assert stripe.deliver(stripe.event("charge.dispute.updated", told)).status_code == 200


def test_a_refund_revokes_every_key_of_the_grant_and_a_failed_one_brings_them_back(
    issued: ApiKey, api: APIClient
) -> None:
    kept, deleted = (create(api).json() for _ in range(2))
    api.delete(f"{URL}/{deleted['id']}")
    refund()
    assert not works(kept["key"])
    assert api.get(URL).json()["keys"] == []
    refund("failed")
    assert works(kept["key"])
    assert not works(deleted["key"])


def test_the_keys_of_a_revoked_grant_are_not_found(issued: ApiKey, api: APIClient) -> None:
    refund()
    for call, path in ((api.post, "/reveal"), (api.post, "/rotate"), (api.delete, "")):
        assert call(f"{URL}/{issued.pk}{path}").status_code == 404
    assert api.patch(f"{URL}/{issued.pk}", {"name": "x"}, format="json").status_code == 404


def test_no_key_is_created_after_a_refund(issued: ApiKey, api: APIClient) -> None:
    refund()
    response = create(api)
    assert response.status_code == 403
    assert response.json()["code"] == "payment_required"


def test_a_suspended_grant_refuses_reveal_create_and_rotate(issued: ApiKey, api: APIClient) -> None:
    dispute("needs_response")
    answers = [create(api), *(api.post(f"{URL}/{issued.pk}/{do}") for do in ("reveal", "rotate"))]
    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert {answer.json()["code"] for answer in answers} == {"key_not_usable"}
    dispute("won")
    assert create(api).status_code == 201
    assert api.post(f"{URL}/{issued.pk}/reveal").status_code == 200


def test_a_grant_that_staff_stopped_refuses_reveal_create_and_rotate(
    issued: ApiKey, api: APIClient
) -> None:
    assert services.stop_grant(issued.grant_id, reason="Abuse.")
    answers = [create(api), *(api.post(f"{URL}/{issued.pk}/{do}") for do in ("reveal", "rotate"))]
    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert services.resume_grant(issued.grant_id)
    assert create(api).status_code == 201


def test_a_suspended_key_refuses_reveal_and_rotate_but_not_another_key(
    issued: ApiKey, api: APIClient
) -> None:
    services.suspend(issued.pk)
    answers = [api.post(f"{URL}/{issued.pk}/{do}") for do in ("reveal", "rotate")]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert create(api).status_code == 201


def test_a_key_hangs_on_the_newest_grant_that_is_usable(issued: ApiKey, api: APIClient) -> None:
    newest = paid_key(ConversationFactory.create(user=issued.user)).grant
    assert ApiKey.objects.get(pk=create(api).json()["id"]).grant == newest
    services.stop_grant(newest.pk, reason="Abuse.")
    assert ApiKey.objects.get(pk=create(api).json()["id"]).grant == issued.grant


def test_the_state_of_a_key_is_the_first_that_applies(issued: ApiKey, api: APIClient) -> None:
    def states() -> set[str]:
        return {key["state"] for key in api.get(URL).json()["keys"]}

    assert states() == {"active"}
    dispute("needs_response")
    assert states() == {"suspended"}
    dispute("won")
    services.stop_grant(issued.grant_id, reason="Abuse.")
    assert states() == {"suspended"}


def test_what_staff_stop_stays_stopped_whatever_the_payment_does(issued: ApiKey) -> None:
    suspended, suspended_secret = revealed_key(issued.user, grant=issued.grant)
    revoked, revoked_secret = revealed_key(issued.user, grant=issued.grant)
    _, secret = revealed_key(issued.user, grant=issued.grant)
    dispute("needs_response")
    assert services.suspend(suspended.pk)
    assert services.revoke(revoked.pk, reason="Abuse.")
    dispute("won")
    refund()
    refund("failed")
    assert [works(each) for each in (secret, suspended_secret, revoked_secret)] == [
        True,
        False,
        False,
    ]
    assert services.restore(suspended.pk)
    assert works(suspended_secret)


def test_stopping_twice_returns_false(issued: ApiKey) -> None:
    assert not services.restore(issued.pk)
    assert not services.resume_grant(issued.grant_id)
    stops: list[Callable[[], bool]] = [
        lambda: services.suspend(issued.pk),
        lambda: services.stop_grant(issued.grant_id, reason="Abuse."),
        lambda: services.revoke(issued.pk, reason="Abuse."),
    ]
    for stop in stops:
        assert stop()
        assert not stop()
    assert not services.suspend(issued.pk)


def test_a_stop_of_a_grant_and_its_payment_do_not_touch_each_other(issued: ApiKey) -> None:
    _, secret = revealed_key(issued.user, grant=issued.grant)
    services.stop_grant(issued.grant_id, reason="Abuse.")
    refund()
    refund("failed")
    assert not works(secret)
    grant = Grant.objects.get()
    assert (grant.revoked_at, grant.stopped_reason) == (None, "Abuse.")
    services.resume_grant(grant.pk)
    assert works(secret)


def test_a_replay_never_moves_the_times_of_a_grant(issued: ApiKey) -> None:
    dispute("needs_response")
    suspended = Grant.objects.get().suspended_at
    dispute("under_review")
    assert Grant.objects.get().suspended_at == suspended
    assert suspended is not None
