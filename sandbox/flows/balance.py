"""The account's balance: funds of payments are pending for two days, then available.

Stripe docs: https://docs.stripe.com/payouts#standard-payout-timing and
https://docs.stripe.com/testing#available-balance (the card whose funds are available at once).
"""

from __future__ import annotations

from collections import Counter

from sandbox.account import Account
from sandbox.json_types import JsonObject
from sandbox.objects import account as objects
from sandbox.store import Query
from sandbox.webhooks.events import emit

PENDING_PERIOD = 2 * 86400


def add_funds(account: Account, booked: JsonObject, *, available: bool) -> JsonObject:
    """Add the balance transaction of a payment, pending unless `available`."""
    if not available:
        booked.update(status="pending", available_on=booked["created"] + PENDING_PERIOD)
    account.store.add(booked)
    account.jobs.add(
        "release_funds", delay=0.0 if available else PENDING_PERIOD, booked=booked["id"]
    )
    return booked


def release_funds(account: Account, booked: str) -> None:
    """Make pending funds available, together with all others that are due by now."""
    query = Query("balance_transaction")
    query.where("json_extract(body, '$.status') = 'pending'")
    query.where("json_extract(body, '$.available_on') <= ?", account.clock.timestamp())
    due = account.store.select(query)
    for each in due:
        account.store.save({**each, "status": "available"})
    released = account.store.get("balance_transaction", booked)
    if due or released["available_on"] == released["created"]:
        emit(account, "balance.available", current_balance(account))


def current_balance(account: Account) -> JsonObject:
    """The sums of the balance transactions; zero in the default currency if there are none."""
    sums: dict[str, Counter[str]] = {
        status: Counter({objects.account("")["default_currency"]: 0})
        for status in ("available", "pending")
    }
    for each in account.store.all("balance_transaction"):
        sums[each["status"]][each["currency"]] += int(each["net"])
    return objects.balance(sums["available"], sums["pending"])
