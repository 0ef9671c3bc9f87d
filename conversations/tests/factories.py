from __future__ import annotations

from factory.declarations import SubFactory
from factory.django import DjangoModelFactory

from accounts.tests.factories import UserFactory
from conversations.models import Conversation


class ConversationFactory(DjangoModelFactory[Conversation]):
    class Meta:
        model = Conversation

    user = SubFactory(UserFactory)
    title = "A conversation"
