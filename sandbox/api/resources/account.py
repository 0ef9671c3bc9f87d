"""API routes of the account, its balance and balance transactions."""

from __future__ import annotations

from sandbox.account import ACCOUNT_ID
from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get
from sandbox.flows.balance import current_balance
from sandbox.json_types import JsonObject
from sandbox.objects.account import account

_TRANSACTIONS = Collection(
    "balance_transaction", "/v1/balance_transactions", filters=("type", "source", "currency")
)


def retrieve_account(request: ApiRequest) -> JsonObject:
    """GET /v1/account: the account of the API key."""
    return account(ACCOUNT_ID)


def retrieve_balance(request: ApiRequest) -> JsonObject:
    """GET /v1/balance."""
    return current_balance(request.account)


ROUTES = [
    get("/v1/account", retrieve_account),
    get("/v1/balance", retrieve_balance),
    get(
        "/v1/balance_transactions",
        lambda request: list_objects(request.account, _TRANSACTIONS, request.params),
    ),
    get(
        "/v1/balance_transactions/{}",
        lambda request, i: request.account.store.get("balance_transaction", i),
    ),
]
