"""Early fraud warnings: reported by a card's issuer, closed by a refund.

Stripe docs: https://docs.stripe.com/disputes/measuring#early-fraud-warnings
"""

from __future__ import annotations

from sandbox.account import Account
from sandbox.json_types import JsonObject
from sandbox.objects.refunds_and_disputes import early_fraud_warning
from sandbox.store import Query
from sandbox.webhooks.events import emit


def warn(account: Account, paid: JsonObject) -> JsonObject:
    """Report a charge as fraudulent."""
    made = early_fraud_warning(paid, created=account.clock.timestamp())
    account.store.add(made)
    emit(account, "radar.early_fraud_warning.created", made)
    return made


def close(account: Account, charge_id: str) -> None:
    """A warning is no longer actionable once its charge is fully refunded or disputed."""
    query = Query("radar.early_fraud_warning")
    query.where_equal("charge", charge_id)
    for warning in account.store.select(query):
        if warning["actionable"]:
            warning["actionable"] = False
            previous = {"actionable": True}
            emit(
                account,
                "radar.early_fraud_warning.updated",
                account.store.save(warning),
                previous,
            )
