"""Fixtures: signed-in staff of each role, and a customer who has paid."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import User
from billing.models import Order
from conversations.models import Conversation
from support import roles
from testing import stripe_events
from testing.factories import UserFactory

StaffClient = Callable[[str], Client]


@pytest.fixture
def groups(db: None) -> dict[str, Group]:
    return roles.create_roles()


@pytest.fixture
def staff(groups: dict[str, Group]) -> StaffClient:
    """A signed-in client of this role; "root" is a superuser, "none" is staff without a role."""

    def client(role: str) -> Client:
        user = UserFactory.create(
            email=f"{role}@staff.example.com", is_staff=True, is_superuser=role == "root"
        )
        if role in groups:
            user.groups.add(groups[role])
        signed_in = Client()
        signed_in.force_login(user)
        return signed_in

    return client


@pytest.fixture
def support(staff: StaffClient) -> Client:
    return staff("support")


@pytest.fixture
def finance(staff: StaffClient) -> Client:
    return staff("finance")


@pytest.fixture
def order(conversation: Conversation) -> Order:
    """A paid order with its key, made by a signed webhook."""
    return paid(conversation)


@pytest.fixture
def owner(order: Order) -> tuple[User, Client]:
    """The order's customer, signed in to the site."""
    client = Client()
    client.force_login(order.user)
    return order.user, client


def paid(conversation: Conversation, **facts: object) -> Order:
    session = stripe_events.session(conversation, **facts)
    stripe_events.deliver(stripe_events.event("checkout.session.completed", session))
    return Order.objects.select_related("user", "grant").get(stripe_session_id=session["id"])
