"""API routes of customers' cash balances, and the test helper that fills one."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.errors import parameter_missing, resource_missing
from sandbox.flows import cash_balance
from sandbox.flows.catalog import currency_of
from sandbox.json_types import JsonObject
from sandbox.store import Query


def fund_cash_balance(request: ApiRequest, customer: str) -> JsonObject:
    """POST /v1/test_helpers/customers/{}/fund_cash_balance: a bank transfer arrives."""
    params = request.params
    request.account.store.get("customer", customer)
    amount = params.positive("amount")
    if amount is None:
        raise parameter_missing("amount")
    return cash_balance.fund(
        request.account, customer, amount, currency_of(params), params.text("reference")
    )


def retrieve_cash_balance(request: ApiRequest, customer: str) -> JsonObject:
    """GET /v1/customers/{}/cash_balance."""
    request.account.store.get("customer", customer)
    return cash_balance.balance_of(request.account, customer)


def list_transactions(request: ApiRequest, customer: str) -> JsonObject:
    """GET /v1/customers/{}/cash_balance_transactions."""
    request.account.store.get("customer", customer)
    query = Query("customer_cash_balance_transaction")
    query.where_equal("customer", customer)
    url = f"/v1/customers/{customer}/cash_balance_transactions"
    return list_objects(request.account, Collection(query.kind, url), request.params, query)


def retrieve_transaction(request: ApiRequest, customer: str, identifier: str) -> JsonObject:
    """GET /v1/customers/{}/cash_balance_transactions/{}."""
    kind = "customer_cash_balance_transaction"
    found = request.account.store.get(kind, identifier)
    if found["customer"] != customer:
        raise resource_missing(kind, identifier)
    return found


ROUTES = [
    post("/v1/test_helpers/customers/{}/fund_cash_balance", fund_cash_balance),
    get("/v1/customers/{}/cash_balance", retrieve_cash_balance),
    get("/v1/customers/{}/cash_balance_transactions", list_transactions),
    get("/v1/customers/{}/cash_balance_transactions/{}", retrieve_transaction),
]
