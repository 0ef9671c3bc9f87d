"""API routes of payment methods and charges."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.api.shared_params import payment_method_param, shipping_param
from sandbox.errors import invalid
from sandbox.json_types import JsonObject
from sandbox.webhooks.events import emit

_METHODS = Collection(
    "payment_method",
    "/v1/payment_methods",
    filters=("type", "customer", "customer_account", "allow_redisplay"),
)
_CHARGES = Collection(
    "charge", "/v1/charges", filters=("payment_intent", "customer", "transfer_group")
)


def create_payment_method(request: ApiRequest) -> JsonObject:
    """POST /v1/payment_methods."""
    params = request.params
    made = payment_method_param(request.account, params)
    made["metadata"] = params.metadata()
    return request.account.store.save(made)


def update_charge(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/charges/{}."""
    params = request.params
    charge = request.account.store.get("charge", identifier)
    changed: JsonObject = {
        name: params.text(name) for name in ("description", "transfer_group") if params.has(name)
    }
    if params.has("receipt_email"):
        changed["receipt_email"] = params.email("receipt_email")
    if params.is_object("shipping"):
        changed["shipping"] = shipping_param(params, tracked=True)
    if params.is_object("fraud_details"):
        report = params.child("fraud_details").text("user_report")
        changed["fraud_details"] = {"user_report": report} if report else {}
    if customer := params.text("customer"):
        if charge["customer"] is not None:
            raise invalid(
                "You may only set the customer of a charge that has none.", param="customer"
            )
        changed["customer"] = request.account.store.get("customer", customer, param="customer")[
            "id"
        ]
    if params.has("metadata"):
        changed["metadata"] = params.merged_metadata(charge["metadata"])
    previous = {name: charge[name] for name, value in changed.items() if charge[name] != value}
    charge.update(changed)
    emit(request.account, "charge.updated", request.account.store.save(charge), previous)
    return charge


ROUTES = [
    post("/v1/payment_methods", create_payment_method),
    get(
        "/v1/payment_methods",
        lambda request: list_objects(request.account, _METHODS, request.params),
    ),
    get(
        "/v1/payment_methods/{}", lambda request, i: request.account.store.get("payment_method", i)
    ),
    get("/v1/charges", lambda request: list_objects(request.account, _CHARGES, request.params)),
    get("/v1/charges/{}", lambda request, i: request.account.store.get("charge", i)),
    post("/v1/charges/{}", update_charge),
]
