"""Requests generated from the OpenAPI document, with each kind of bearer and none.

No 5xx, no undocumented status, header, problem code or body, no valid request refused, no invalid
one accepted. 500 examples; `make soak` runs 3,000 (FUZZ_EXAMPLES).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.utils import timezone
from hypothesis import HealthCheck, settings
from pytest_django.fixtures import Settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts import service_tokens
from accounts.models import User
from accounts.tokens import issue_access, issue_refresh
from apikeys.models import ApiKey
from billing.models import Order
from conversations.models import Conversation
from payflow.openapi.answers import PROBLEM_CODES_OF_STATUS, operations
from payflow.openapi.document import document
from payflow.wsgi import application
from sandbox.testing import running
from testing.keys import paid_key, revealed_key

# The application closes its connection after each request, which ends a test's transaction.
pytestmark = [
    pytest.mark.http,
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(900),
]

# Schemathesis makes the examples of its other phases while tests are collected, in a minute.
CONFIG = schemathesis.Config.from_dict(
    {"phases": {name: {"enabled": False} for name in ("examples", "coverage", "stateful")}}
)
# Gateways send any query to `verify`, and health and metrics take none.
schema = schemathesis.openapi.from_wsgi("/api/schema", application, config=CONFIG).include(
    path_regex="^/api/(?!api-keys/verify)"
)

OPERATIONS = len(list(operations(document()))) - 1  # the webhook is no route of the document
EXAMPLES = -(-int(os.environ.get("FUZZ_EXAMPLES", "500")) // OPERATIONS)

# A schema can't say that a tier is sold, a time in the future, an id free, a name no secret.
NOT_IN_THE_SCHEMA = {"unknown_tier", "past", "secret", "unique"}


@schemathesis.check
def documented_code(ctx: Any, response: Any, case: Any) -> None:
    """A problem has one of the codes that its operation names for its status."""
    described = "problem+json" in str(response.headers.get("content-type"))
    if not described or response.status_code == 405:  # another method, which has no description
        return
    responses = case.operation.definition.raw["responses"]
    documented = responses[str(response.status_code)][PROBLEM_CODES_OF_STATUS]
    assert response.json()["code"] in documented


@schemathesis.check
def accepted_if_valid(ctx: Any, response: Any, case: Any) -> None:
    """A request that the schema allows is not refused as malformed."""
    if not case.meta.generation.mode.is_positive or response.status_code not in (400, 411, 415):
        return
    faults = {fault["code"] for fault in response.json().get("errors", ())}
    # Stripe remembers an Idempotency-Key with its body.
    reused = response.json()["code"] == "idempotency_key_refused"
    assert reused or (faults and faults <= NOT_IN_THE_SCHEMA), response.json()


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    documented_code,
    accepted_if_valid,
]

turns = itertools.count()


@pytest.fixture
def local_stripe(settings: Settings) -> Iterator[None]:
    settings.FAILED_AUTHENTICATIONS_PER_MINUTE = 0
    with running(webhook=None) as sandbox:
        settings.STRIPE_API_BASE = sandbox.url
        yield


BEARERS: list[Callable[[User], str | None]] = [
    issue_access,
    lambda user: revealed_key(user)[1],
    lambda user: issue_access(User.objects.get_or_create(email="another@example.com")[0]),
    lambda user: None,
    issue_access,
    issue_refresh,  # which is no bearer
    lambda user: revealed_key(user)[1],
    lambda user: "sk_" + 64 * "0",
    lambda user: "sk_live_" + 24 * "0",
]
SERVICE_BEARERS: list[Callable[[User], str | None]] = [
    *2 * [lambda user: service_tokens.issue(f"fuzz-{next(turns)}")],
    issue_access,
    *2 * [lambda user: service_tokens.issue(f"fuzz-{next(turns)}")],
    lambda user: None,
]


def aimed(case: Any, user: User, turn: int) -> None:
    """Let every other request, if it is valid so far, name a row of the user."""
    if turn % 2 or not case.meta.generation.mode.is_positive:
        return
    if "externalId" in case.path_parameters:
        case.path_parameters["externalId"] = user.external_id = "the user's"
        user.save(update_fields=["external_id"])
        return
    model = {"orders": Order, "conversations": Conversation}.get(case.path.split("/")[2], ApiKey)
    row = model._default_manager.filter(user=user).order_by("?").first()
    if "id" in case.path_parameters and row is not None:
        case.path_parameters["id"] = row.pk
    if isinstance(case.body, dict) and "conversationId" in case.body:
        unpaid = Conversation.objects.create(user=user, title="to pay")
        case.body = {**case.body, "conversationId": unpaid.pk, "tier": "premium"}


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_generated_requests_are_answered_as_described(
    case: schemathesis.Case[Any], conversation: Conversation, local_stripe: None
) -> None:
    turn = next(turns)
    if not Order.objects.filter(user=conversation.user).exists():
        paid_key(conversation)
    shown = ApiKey.objects.filter(user=conversation.user, revealed_at__isnull=False)
    shown.update(revoked_at=timezone.now())  # a user has at most 20 live keys
    aimed(case, conversation.user, turn)
    bearers = SERVICE_BEARERS if case.path.startswith("/api/service/") else BEARERS
    bearer = bearers[turn % len(bearers)](conversation.user)
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    response = case.call(headers=headers)
    case.validate_response(response, checks=CHECKS)
