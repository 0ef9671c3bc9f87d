"""API routes of refunds, disputes and early fraud warnings."""

from __future__ import annotations

from sandbox.api.pagination import Collection, list_objects
from sandbox.api.routing import ApiRequest, get, post
from sandbox.errors import invalid, parameter_missing
from sandbox.flows import disputes, refunds
from sandbox.json_types import JsonObject
from sandbox.objects.refunds_and_disputes import is_evidence
from sandbox.webhooks.events import emit

_REFUNDS = Collection("refund", "/v1/refunds", filters=("payment_intent", "charge"))
_DISPUTES = Collection("dispute", "/v1/disputes", filters=("payment_intent", "charge"))
_WARNINGS = Collection(
    "radar.early_fraud_warning",
    "/v1/radar/early_fraud_warnings",
    filters=("charge", "payment_intent"),
)
_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create_refund(request: ApiRequest) -> JsonObject:
    """POST /v1/refunds for a payment intent or a charge."""
    params = request.params
    reason = params.text("reason")
    if reason is not None:
        params.one_of("reason", _REASONS, default=reason)
    return refunds.create_refund(
        request.account,
        _charge(request),
        amount=params.positive("amount"),
        reason=reason,
        metadata=params.metadata(),
    )


def update_refund(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/refunds/{}: metadata only."""
    refund = request.account.store.get("refund", identifier)
    previous = {"metadata": refund["metadata"]}
    refund["metadata"] = request.params.merged_metadata(refund["metadata"])
    refunds.emit_refund_updated(request.account, request.account.store.save(refund), previous)
    return refund


def update_dispute(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/disputes/{}: add evidence; it is submitted unless `submit=false`."""
    params = request.params
    dispute = request.account.store.get("dispute", identifier)
    if params.has("metadata"):
        previous = {"metadata": dispute["metadata"]}
        dispute["metadata"] = params.merged_metadata(dispute["metadata"])
        request.account.store.save(dispute)
        emit(request.account, "charge.dispute.updated", dispute, previous)
    if not params.is_object("evidence"):
        return dispute
    evidence = params.child("evidence").each_text(params.mapping("evidence") or {})
    for name in evidence:
        if not is_evidence(name):
            raise invalid(f"Invalid evidence: {name[:60]}", param=f"evidence[{name[:60]}]")
    submit = params.boolean("submit", default=True)
    return disputes.submit_evidence(request.account, dispute, evidence, submit=submit)


def close_dispute(request: ApiRequest, identifier: str) -> JsonObject:
    """POST /v1/disputes/{}/close: concede it."""
    dispute = request.account.store.get("dispute", identifier)
    return disputes.close(request.account, dispute, won=False)


def _charge(request: ApiRequest) -> str:
    if intent_id := request.params.text("payment_intent"):
        intent = request.account.store.get("payment_intent", intent_id, param="payment_intent")
        return refunds.charge_to_refund(request.account, intent)
    charge = request.params.text("charge")
    if charge is None:
        raise parameter_missing("payment_intent")
    return charge


ROUTES = [
    post("/v1/refunds", create_refund),
    get("/v1/refunds", lambda request: list_objects(request.account, _REFUNDS, request.params)),
    get("/v1/refunds/{}", lambda request, i: request.account.store.get("refund", i)),
    post("/v1/refunds/{}", update_refund),
    get("/v1/disputes", lambda request: list_objects(request.account, _DISPUTES, request.params)),
    get("/v1/disputes/{}", lambda request, i: request.account.store.get("dispute", i)),
    post("/v1/disputes/{}", update_dispute),
    post("/v1/disputes/{}/close", close_dispute),
    get(
        "/v1/radar/early_fraud_warnings",
        lambda request: list_objects(request.account, _WARNINGS, request.params),
    ),
    get(
        "/v1/radar/early_fraud_warnings/{}",
        lambda request, i: request.account.store.get("radar.early_fraud_warning", i),
    ),
]
