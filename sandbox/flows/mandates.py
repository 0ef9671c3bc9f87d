"""The customer's acceptance of a mandate, from the `mandate_data` parameter."""

from __future__ import annotations

from sandbox.account import Account
from sandbox.json_types import JsonObject
from sandbox.params import Params


def acceptance_from(account: Account, params: Params) -> JsonObject | None:
    """`mandate_data[customer_acceptance]` as mandates show it; None if it was not sent."""
    if not params.is_object("mandate_data"):
        return None
    data = params.child("mandate_data")
    data.required_object("customer_acceptance")
    given = data.child("customer_acceptance")
    given.required("type")
    kind = given.one_of("type", ["offline", "online"], default="offline")
    accepted = given.integer("accepted_at") or account.clock.timestamp()
    return {"accepted_at": accepted, kind: _details(given, kind), "type": kind}


def _details(given: Params, kind: str) -> JsonObject:
    if kind == "offline":
        return {}
    online = given.child("online")
    return {name: online.required(name) for name in ("ip_address", "user_agent")}
