"""Routes under `/api/service/`."""

from __future__ import annotations

from django.urls import path, register_converter

from payflow.service import events, users


class Text:
    """Any text: an external id may hold `/`, and a line feed must be refused by the view."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(Text, "text")

urlpatterns = [
    path("service/events", events.EventsView.as_view()),
    path("service/users/<text:externalId>/token", users.UserTokenView.as_view()),
    path("service/users/<text:externalId>", users.user_view, name="service-user"),
]
