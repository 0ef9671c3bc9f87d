"""Events out: the list, and what the apps know about each event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from billing.models import Order
from conversations.models import Conversation
from notifications import events
from notifications.kinds import KINDS
from notifications.models import Notification
from payflow.service.views import ServiceView
from restapi.exceptions import InvalidParameters
from restapi.lists import MAX_ID, MAX_PAGE_SIZE, PAGE_SIZE
from restapi.schema import operation

Facts = dict[str, Any]
_NO_CONVERSATION: Facts = {"conversationExternalId": None, "conversationMetadata": {}}
EVENT_TYPES = sorted(name for name, kind in KINDS.items() if kind.is_event)


class EventFilters(serializers.Serializer[Any]):
    after = serializers.IntegerField(
        min_value=0,
        max_value=MAX_ID,
        required=False,
        help_text="Only events after this one: the `position` of the last that you have; 0.",
    )
    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_PAGE_SIZE, required=False, help_text="Events of a page; 50."
    )


@extend_schema_field({"type": "object", "additionalProperties": True})
class DataField(serializers.JSONField):
    """Its members depend on the event's type: docs/events-out.md."""


class ServiceEventSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The same whenever this event is told.")
    type = serializers.ChoiceField(choices=EVENT_TYPES)
    timestamp = serializers.DateTimeField(help_text="When it happened.")
    position = serializers.IntegerField(help_text="Its place in the order, for `after`.")
    data = DataField(  # type: ignore[assignment]  # the name is also a serializer's own
        help_text="Ids and amounts: docs/events-out.md."
    )


class ServiceEventsSerializer(serializers.Serializer[Any]):
    events = ServiceEventSerializer(many=True)


class EventsView(ServiceView):
    filters = EventFilters

    @operation("service_events_list", response=ServiceEventsSerializer, filters=EventFilters)
    def get(self, request: Request) -> Response:
        """List events.

        What happened to orders, disputes and keys, in the order in which it happened to each
        conversation. Ask again with the last `position`; an empty list means that there is nothing
        new. No event is left out, and none appears before one that you were given.
        """
        asked = EventFilters(data=request.query_params)
        if not asked.is_valid():
            raise InvalidParameters(asked.errors)
        events.number()
        found = events.after(
            asked.validated_data.get("after", 0), asked.validated_data.get("limit", PAGE_SIZE)
        )
        positions = [{"position": each.position} for each in found]
        rows = zip(events.bodies(found), positions, strict=True)
        return Response({"events": [body | position for body, position in rows]})


def describe(notifications: Sequence[Notification]) -> dict[int, Facts]:
    """What the other backend calls user and conversation, by the primary key of each row."""
    users = _external_ids({each.user_id for each in notifications})
    of_keys = _conversations_of_keys({key_id for each in notifications for key_id in _keys(each)})
    described: dict[int, Facts] = {}
    for each in notifications:
        found = (of_keys[key_id] for key_id in _keys(each) if key_id in of_keys)
        conversation_id = each.conversation_id or next(found, None)
        described[each.pk] = {
            "userExternalId": users.get(each.user_id),
            "conversationId": conversation_id,
        }
    conversations = _conversations({facts["conversationId"] for facts in described.values()})
    for facts in described.values():
        facts.update(conversations.get(facts["conversationId"], _NO_CONVERSATION))
    return described


def _keys(notification: Notification) -> Sequence[int]:
    keys: Sequence[int] = notification.data.get("keyIds", ())
    return keys


def _external_ids(user_ids: set[int]) -> dict[int, str | None]:
    return dict(User.objects.filter(pk__in=user_ids).values_list("pk", "external_id"))


def _conversations(ids: set[int | None]) -> dict[int | None, Facts]:
    found = Conversation.objects.filter(pk__in=[pk for pk in ids if pk])
    return {
        each.pk: {
            "conversationExternalId": each.external_id,
            "conversationMetadata": each.metadata,
        }
        for each in found
    }


def _conversations_of_keys(key_ids: set[int]) -> dict[int, int]:
    """The conversation that each key's payment pays for."""
    orders = Order.objects.filter(grant__keys__in=key_ids) if key_ids else Order.objects.none()
    return dict(orders.order_by("-pk").values_list("grant__keys", "conversation_id"))
