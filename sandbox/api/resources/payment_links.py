"""API routes of payment links."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_fixed, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.errors import invalid, not_supported, parameter_missing
from sandbox.flows import payment_links
from sandbox.json_types import JsonObject
from sandbox.objects.catalog import line_item
from sandbox.params import Params
from sandbox.webhooks.events import emit

_LINKS = Collection("payment_link", "/v1/payment_links", booleans=("active",))
_CHOICES = {
    "billing_address_collection": ("auto", "required"),
    "customer_creation": ("always", "if_required"),
    "submit_type": ("auto", "book", "donate", "pay", "subscribe"),
}
_SESSION_PARAMS = ("allow_promotion_codes", "phone_number_collection", *_CHOICES)
_MAX_LINE_ITEMS = 20


def create_payment_link(request: ApiRequest) -> JsonObject:
    """POST /v1/payment_links."""
    params = request.params
    return payment_links.create(
        request.account,
        _line_items(request),
        _session_params(params),
        **_fields(params, {}),
    )


def update_payment_link(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/payment_links/{}."""
    params = request.params
    if params.has("line_items"):
        raise not_supported("updates of a payment link's line items", param="line_items")
    link = request.account.store.get("payment_link", identifier)
    changed = _fields(params, link)
    if params.has("active"):
        changed["active"] = params.boolean("active")
    previous = {name: link[name] for name, value in changed.items() if link[name] != value}
    updated = request.account.store.save(link | changed)
    private = request.account.store.get_private(identifier)
    session = {**private["session"], **_session_params(params)}
    request.account.store.set_private(identifier, {**private, "session": session})
    if previous:
        emit(request.account, "payment_link.updated", updated, previous)
    return updated


def list_line_items(request: ApiRequest, identifier: str) -> JsonObject:
    """GET /v1/payment_links/{}/line_items."""
    request.account.store.get("payment_link", identifier)
    items = request.account.store.get_private(identifier)["line_items"]
    return list_fixed(items, f"/v1/payment_links/{identifier}/line_items", request.params)


def _fields(params: Params, link: JsonObject) -> JsonObject:
    """The link's fields that a request sets."""
    fields: JsonObject = {
        name: params.one_of(name, choices, default=choices[0])
        for name, choices in _CHOICES.items()
        if params.has(name)
    }
    if params.has("allow_promotion_codes"):
        fields["allow_promotion_codes"] = params.boolean("allow_promotion_codes")
    if params.has("inactive_message"):
        fields["inactive_message"] = params.text("inactive_message")
    if params.has("metadata"):
        fields["metadata"] = params.merged_metadata(link.get("metadata", {}))
    if params.is_object("after_completion"):
        fields["after_completion"] = _after_completion(params.child("after_completion"))
    if params.is_object("phone_number_collection"):
        enabled = params.child("phone_number_collection").boolean("enabled")
        fields["phone_number_collection"] = {"enabled": enabled}
    if params.has("restrictions"):
        fields["restrictions"] = _restrictions(params, link)
    return fields


def _after_completion(given: Params) -> JsonObject:
    given.required("type")
    kind = given.one_of("type", ["hosted_confirmation", "redirect"], default="redirect")
    if kind == "redirect":
        redirect = given.child("redirect")
        redirect.required("url")
        return {"redirect": {"url": redirect.url("url")}, "type": kind}
    hosted = given.child("hosted_confirmation")
    return {"hosted_confirmation": hosted.each_text(["custom_message"]), "type": kind}


def _restrictions(params: Params, link: JsonObject) -> JsonObject | None:
    if not params.is_object("restrictions"):
        return None
    given = params.child("restrictions")
    sessions = given.child("completed_sessions")
    limit = sessions.positive("limit")
    if limit is None:
        raise parameter_missing(sessions.name_of("limit"))
    earlier = (link.get("restrictions") or {}).get("completed_sessions", {"count": 0})
    return {"completed_sessions": {"count": earlier["count"], "limit": limit}}


def _session_params(params: Params) -> JsonObject:
    """The parameters that a link hands on to its sessions, as sent."""
    return {name: params.sent(name) for name in _SESSION_PARAMS if params.has(name)}


def _line_items(request: ApiRequest) -> list[JsonObject]:
    given = request.params.children("line_items")
    if not given:
        raise parameter_missing("line_items")
    if len(given) > _MAX_LINE_ITEMS:
        raise invalid(
            f"A payment link can have up to {_MAX_LINE_ITEMS} line items.", param="line_items"
        )
    return [_line_item(request, item) for item in given]


def _line_item(request: ApiRequest, item: Params) -> JsonObject:
    price = request.account.store.get("price", item.required("price"), param=item.name_of("price"))
    quantity = item.positive("quantity")
    if quantity is None:
        raise parameter_missing(item.name_of("quantity"))
    product = request.account.store.get("product", price["product"])
    return line_item(price, description=product["name"], quantity=quantity)


ROUTES = [
    post("/v1/payment_links", create_payment_link),
    get("/v1/payment_links", lambda request: list_objects(request.account, _LINKS, request.params)),
    get("/v1/payment_links/{}", lambda request, i: request.account.store.get("payment_link", i)),
    post("/v1/payment_links/{}", update_payment_link),
    get("/v1/payment_links/{}/line_items", list_line_items),
]
