"""Queries of what is missing in the outbox, or too much.

For rows that fulfilment wrote: those that a test inserts by SQL told nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Event = dict[str, Any]

FAULTS: Mapping[str, str] = {
    "order that was not told": """
        SELECT o.id FROM orders o WHERE NOT EXISTS (
            SELECT FROM outbox n WHERE n.cause = o.stripe_session_id AND n.kind = CASE
                WHEN o.status = 'failed' THEN 'order.failed'
                WHEN o.status = 'pending' THEN 'payment.pending'
                WHEN o.is_duplicate THEN 'order.duplicate' ELSE 'order.completed' END)
    """,
    "told order that does not exist": """
        SELECT n.id FROM outbox n WHERE n.kind LIKE 'order.%' AND NOT EXISTS (
            SELECT FROM orders o WHERE o.id = (n.data ->> 'orderId')::bigint
            AND o.conversation_id = n.conversation_id AND o.user_id = n.user_id)
    """,
    "refund that was not told": """
        SELECT r.id FROM refunds r WHERE NOT EXISTS (SELECT FROM outbox n
            WHERE n.cause = r.stripe_refund_id AND n.kind = 'order.refunded')
    """,
    "failed refund that was not told": """
        SELECT r.id FROM refunds r WHERE r.status IN ('failed', 'canceled') AND NOT EXISTS (
            SELECT FROM outbox n
            WHERE n.cause = r.stripe_refund_id AND n.kind = 'order.refund_failed')
    """,
    "dispute that was not told": """
        SELECT d.id FROM disputes d WHERE d.status NOT LIKE 'warning%' AND NOT EXISTS (
            SELECT FROM outbox n WHERE n.cause = d.stripe_dispute_id AND n.kind = 'dispute.opened')
    """,
    "decided dispute that was not told": """
        SELECT d.id FROM disputes d WHERE d.status IN ('won', 'lost', 'prevented') AND NOT EXISTS (
            SELECT FROM outbox n WHERE n.cause = d.stripe_dispute_id || '/' || d.status
            AND n.kind = 'dispute.closed')
    """,
    "key that was not told once": """
        SELECT k.id FROM api_keys k WHERE k.predecessor_id IS NULL AND 1 <> (
            SELECT count(*) FROM outbox n WHERE n.kind = 'key.issued'
            AND n.data -> 'keyIds' @> to_jsonb(k.id))
    """,
    "cause with two rows": """
        SELECT min(id) FROM outbox GROUP BY kind, cause HAVING count(*) > 1
    """,
    "secret in the outbox": "SELECT id FROM outbox WHERE data::text || cause ~ 'sk_|[0-9a-f]{64}'",
}
_STOPPED = ("suspended", "revoked")


def told_states(events: Iterable[Event]) -> dict[int, str]:
    """The state of each key as its events tell it, in their order: live, suspended or revoked."""
    states: dict[int, str] = {}
    for event in events:
        app, _, change = event["type"].partition(".")
        if app == "key":
            state = change if change in _STOPPED else "live"
            states |= dict.fromkeys(event["data"]["keyIds"], state)
    return states
