"""Life cycle of a dispute or inquiry: opened, evidence submitted, closed as won or lost.

Stripe docs: https://docs.stripe.com/disputes/how-disputes-work and
https://docs.stripe.com/testing#disputes (the evidence texts that decide a test dispute).
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.errors import invalid
from sandbox.flows import fraud_warnings
from sandbox.json_types import JsonObject
from sandbox.objects import refunds_and_disputes
from sandbox.objects.payments import balance_transaction
from sandbox.store import Query
from sandbox.webhooks.events import emit

_DISPUTE_FEE = 1500
_DECIDING_EVIDENCE = {"winning_evidence": True, "losing_evidence": False}
_CLOSED = frozenset({"won", "lost", "warning_closed"})


def open_dispute(account: Account, charge_id: str, *, reason: str, status: str) -> JsonObject:
    """Open a dispute of a charge. Funds are withdrawn immediately, except for an inquiry."""
    paid = account.store.get("charge", charge_id, param="charge")
    if paid["status"] != "succeeded" or paid["disputed"]:
        raise invalid(f"Charge {charge_id} cannot be disputed.", param="charge")
    opened = refunds_and_disputes.dispute(
        paid, reason=reason, status=status, created=account.clock.timestamp()
    )
    account.store.add(opened)
    paid["disputed"] = True
    account.store.save(paid)
    emit(account, "charge.dispute.created", opened)
    if not is_inquiry(opened):
        _move_funds(account, opened, -int(opened["amount"]), fee=_DISPUTE_FEE)
        emit(account, "charge.dispute.funds_withdrawn", opened)
        fraud_warnings.close(account, charge_id)
    return opened


def is_inquiry(disputed: JsonObject) -> bool:
    """Whether a dispute is an inquiry, which withdraws no funds."""
    return str(disputed["status"]).startswith("warning_")


def is_closed(disputed: JsonObject) -> bool:
    """Whether a dispute is closed."""
    return disputed["status"] in _CLOSED


def submit_evidence(
    account: Account, disputed: JsonObject, evidence: JsonObject, *, submit: bool
) -> JsonObject:
    """Add evidence. If submitted, the dispute goes under review."""
    refuse_closed(disputed)
    previous = {"evidence": {name: disputed["evidence"].get(name) for name in evidence}}
    disputed["evidence"].update(evidence)
    disputed["evidence_details"]["has_evidence"] = True
    if submit:
        previous["status"] = disputed["status"]
        disputed["status"] = "warning_under_review" if is_inquiry(disputed) else "under_review"
        disputed["evidence_details"]["submission_count"] += 1
        disputed["evidence_details"]["submission_method"] = "manual"
    emit(account, "charge.dispute.updated", account.store.save(disputed), previous)
    won = _DECIDING_EVIDENCE.get(str(evidence.get("uncategorized_text")))
    if submit and won is not None:
        account.jobs.add(
            "close_dispute", delay=account.options.settle_delay, dispute=disputed["id"], won=won
        )
    return disputed


def close(account: Account, disputed: JsonObject, *, won: bool) -> JsonObject:
    """Close a dispute. If won, the funds are reinstated."""
    refuse_closed(disputed)
    previous = {"status": disputed["status"]}
    inquiry = is_inquiry(disputed)
    disputed["status"] = "warning_closed" if inquiry else "won" if won else "lost"
    account.store.save(disputed)
    if won and not inquiry:
        _move_funds(account, disputed, int(disputed["amount"]), fee=0)
        emit(account, "charge.dispute.funds_reinstated", disputed)
    emit(account, "charge.dispute.closed", disputed, previous)
    return disputed


def close_when_decided(account: Account, dispute: str, won: bool) -> None:
    """Close a dispute after its review, if it is still open."""
    close(account, account.store.get("dispute", dispute), won=won)


def refuse_closed(disputed: JsonObject) -> None:
    """Raise Stripe's error if a dispute is closed."""
    if is_closed(disputed):
        raise invalid("This dispute is already closed.")


def dispute_of(account: Account, charge_id: str) -> JsonObject | None:
    """The dispute of a charge, if any."""
    query = Query("dispute")
    query.where_equal("charge", charge_id)
    found = account.store.select(query, limit=1)
    return found[0] if found else None


def _move_funds(account: Account, disputed: JsonObject, amount: int, *, fee: int) -> None:
    moved = balance_transaction(
        "adjustment",
        amount=amount,
        fee=fee,
        currency=disputed["currency"],
        source=disputed["id"],
        created=account.clock.timestamp(),
        category="dispute" if amount < 0 else "dispute_reversal",
    )
    account.store.add(moved)
    disputed["balance_transactions"].append(moved)
    account.store.save(disputed)
