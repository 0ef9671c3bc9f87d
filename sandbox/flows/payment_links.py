"""Payment links: each visit opens a Checkout Session.

Stripe docs: https://docs.stripe.com/payment-links/api
"""

from __future__ import annotations

from sandbox.account import API_VERSION, Account
from sandbox.errors import invalid
from sandbox.flows import checkout
from sandbox.flows.create_session import build_session
from sandbox.json_types import JsonObject
from sandbox.objects.payment_links import payment_link
from sandbox.params import Params
from sandbox.store import Query
from sandbox.webhooks.events import emit


def create(
    account: Account, items: list[JsonObject], session_params: JsonObject, **fields: object
) -> JsonObject:
    """Create a payment link. `session_params` are those of the sessions it opens."""
    made = payment_link(url_base=account.base_url, currency=items[0]["currency"], **fields)
    account.store.add(made, private={"line_items": items, "session": session_params})
    emit(account, "payment_link.created", made)
    return made


def find_by_url(account: Account, url: str) -> JsonObject | None:
    """The payment link with this address."""
    query = Query("payment_link")
    query.where_equal("url", url)
    found = account.store.select(query, limit=1)
    return found[0] if found else None


def open_session(account: Account, link: JsonObject) -> JsonObject:
    """Open a Checkout Session for a visitor. Raises a 400 if the link cannot be used."""
    if not link["active"] or _is_used_up(link):
        raise invalid(link["inactive_message"] or "This payment link is no longer active.")
    private = account.store.get_private(link["id"])
    asked: JsonObject = {
        **private["session"],
        "mode": "payment",
        "line_items": {
            str(index): {"price": item["price"]["id"], "quantity": str(item["quantity"])}
            for index, item in enumerate(private["line_items"])
        },
        "metadata": link["metadata"],
        "success_url": _success_url(account, link),
    }
    session, session_private = build_session(account, Params(asked), version=API_VERSION)
    session["payment_link"] = link["id"]
    return checkout.open_session(account, session, session_private)


def _is_used_up(link: JsonObject) -> bool:
    if link["restrictions"] is None:
        return False
    completed = link["restrictions"]["completed_sessions"]
    return bool(completed["count"] >= completed["limit"])


def _success_url(account: Account, link: JsonObject) -> str:
    if link["after_completion"]["type"] == "redirect":
        return str(link["after_completion"]["redirect"]["url"])
    return f"{account.base_url}/c/thanks/{link['id']}"
