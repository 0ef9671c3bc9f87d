"""Factories of users and conversations."""

from __future__ import annotations

from typing import Any

from factory.declarations import Sequence, SubFactory
from factory.django import DjangoModelFactory

from accounts.models import User
from conversations.models import Conversation

PASSWORD = "a password of the tests"


class UserFactory(DjangoModelFactory[User]):
    """A customer; `UserFactory(password=PASSWORD)` is one who can sign in (hashing is slow)."""

    class Meta:
        model = User

    email = Sequence(lambda n: f"customer{n}@example.com")
    name = "A Customer"

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        return model_class.objects.create_user(*args, **kwargs)


class ConversationFactory(DjangoModelFactory[Conversation]):
    class Meta:
        model = Conversation

    user = SubFactory(UserFactory)
    title = "A conversation"
