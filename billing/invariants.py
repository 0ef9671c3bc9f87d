"""What must hold between orders, grants, keys, links, conversations, settled events and the outbox.

Each rule is one SQL query for the rows that break it, in SQL that both databases run, with a
bounded number of rows: a million orders are checked in seconds.
"""
# ruff: noqa: S608 - the queries are put together from this module's own parts

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

MAX_ROWS = 20  # of each rule

_GOOD = "o.status = 'completed' AND o.refunded_at IS NULL AND o.dispute_status <> 'lost'"
_STANDING = f"{_GOOD} AND NOT o.is_duplicate"
_OPEN_DISPUTE = (
    "o.dispute_status IN"
    " ('needs_response', 'under_review', 'appeal_needs_response', 'appeal_under_review')"
)
_NOT_IMPORTED = (
    "NOT EXISTS (SELECT 1 FROM imported_payments p"
    " WHERE p.stripe_payment_intent_id = e.payment_intent_id)"
)
_COUNTED = "r.status IN ('pending', 'requires_action', 'succeeded')"
_FAILED = "r.status IN ('canceled', 'failed')"

# The kind by which an order's last change was told.
_KIND = """CASE WHEN o.status = 'failed' THEN 'order.failed'
    WHEN o.status = 'pending' THEN 'payment.pending'
    WHEN o.is_duplicate THEN 'order.duplicate' ELSE 'order.completed' END"""


def _untold(cause: str, kind: str) -> str:
    return f"NOT EXISTS (SELECT 1 FROM outbox n WHERE n.cause = {cause} AND n.kind = {kind})"


# The sums of each order's refunds, in its own currency.
_SUMS = f"""
    SELECT o.id, o.amount_cents, o.refunded_cents, o.refunded_at, o.charge_refunded_cents,
        COALESCE(SUM(CASE WHEN {_COUNTED} THEN r.amount_cents END), 0) AS counted,
        COALESCE(SUM(CASE WHEN {_FAILED} THEN r.amount_cents END), 0) AS failed
    FROM orders o LEFT JOIN refunds r ON r.order_id = o.id AND r.currency = o.currency
    WHERE o.refunded_cents <> 0 OR o.charge_refunded_cents <> 0 OR o.refunded_at IS NOT NULL
        OR r.id IS NOT NULL
    GROUP BY o.id
"""

# What is wrong, printed before each id, and the query for the ids of such rows.
RULES: dict[str, str] = {
    "paid conversation without an order that stands": f"""
        SELECT c.id FROM conversations c WHERE c.payment_status = 'paid'
        AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.conversation_id = c.id AND {_STANDING})
    """,
    "conversation that is not paid and has a good order": f"""
        SELECT DISTINCT c.id FROM conversations c JOIN orders o ON o.conversation_id = c.id
        WHERE c.payment_status <> 'paid' AND {_GOOD}
    """,
    "conversation with two orders that stand": f"""
        SELECT o.conversation_id FROM orders o WHERE {_STANDING}
        GROUP BY o.conversation_id HAVING COUNT(*) > 1
    """,
    "good order without a grant": f"""
        SELECT o.id FROM orders o WHERE {_STANDING} AND o.grant_id IS NULL
    """,
    "session with two orders": """
        SELECT MIN(o.id) FROM orders o GROUP BY o.stripe_session_id HAVING COUNT(*) > 1
    """,
    "order of another user than its conversation": """
        SELECT o.id FROM orders o JOIN conversations c ON c.id = o.conversation_id
        WHERE c.user_id <> o.user_id
    """,
    "order of another user than its grant": """
        SELECT o.id FROM orders o JOIN grants g ON g.id = o.grant_id WHERE g.user_id <> o.user_id
    """,
    "key of another user than its grant": """
        SELECT k.id FROM api_keys k JOIN grants g ON g.id = k.grant_id WHERE g.user_id <> k.user_id
    """,
    "grant of an order without a key": """
        SELECT o.grant_id FROM orders o WHERE o.grant_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM api_keys k WHERE k.grant_id = o.grant_id)
    """,
    "grant that is revoked and has an order that stands": f"""
        SELECT DISTINCT g.id FROM grants g JOIN orders o ON o.grant_id = g.id
        WHERE g.revoked_at IS NOT NULL AND {_STANDING}
    """,
    "grant that is not revoked and has no order that stands": f"""
        SELECT DISTINCT g.id FROM grants g JOIN orders any_order ON any_order.grant_id = g.id
        WHERE g.revoked_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.grant_id = g.id AND {_STANDING})
    """,
    "grant that is suspended without an open dispute": f"""
        SELECT g.id FROM grants g WHERE g.suspended_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM orders o WHERE o.grant_id = g.id AND {_STANDING} AND {_OPEN_DISPUTE}
        ) AND NOT EXISTS (
            SELECT 1 FROM imported_payments o WHERE o.grant_id = g.id AND {_OPEN_DISPUTE}
        )
    """,
    "imported grant that is not as its refund and dispute": f"""
        SELECT g.id FROM grants g JOIN imported_payments o ON o.grant_id = g.id
        WHERE (g.revoked_at IS NOT NULL)
            <> (o.refunded_at IS NOT NULL OR o.dispute_status = 'lost')
        OR (g.suspended_at IS NOT NULL) <> ({_OPEN_DISPUTE})
    """,
    "imported payment that has an order": """
        SELECT p.id FROM imported_payments p
        JOIN orders o ON o.stripe_payment_intent_id = p.stripe_payment_intent_id
    """,
    "grant that is not suspended in an open dispute": f"""
        SELECT DISTINCT g.id FROM grants g JOIN orders o ON o.grant_id = g.id
        WHERE g.suspended_at IS NULL AND {_STANDING} AND {_OPEN_DISPUTE}
    """,
    "order whose refunded sum is not that of its refunds": f"""
        SELECT s.id FROM ({_SUMS}) s WHERE s.refunded_cents <> CASE
            WHEN s.counted >= s.charge_refunded_cents - s.failed THEN s.counted
            ELSE s.charge_refunded_cents - s.failed
        END
    """,
    "order that is fully refunded and has no time of it, or the reverse": f"""
        SELECT s.id FROM ({_SUMS}) s
        WHERE (s.refunded_cents > 0 AND s.refunded_cents >= s.amount_cents)
            <> (s.refunded_at IS NOT NULL)
    """,
    "order that needs a review and is not completed": """
        SELECT o.id FROM orders o WHERE o.needs_review AND o.status <> 'completed'
    """,
    "link of another user than its conversation": """
        SELECT l.id FROM checkout_links l JOIN conversations c ON c.id = l.conversation_id
        WHERE c.user_id <> l.user_id
    """,
    "open link whose order is completed or failed": """
        SELECT l.id FROM checkout_links l
        JOIN orders o ON o.stripe_session_id = l.stripe_session_id
        WHERE l.closed_at IS NULL AND o.status IN ('completed', 'failed')
    """,
    "open link of a session whose expiry was processed": """
        SELECT l.id FROM checkout_links l JOIN stripe_events e ON e.object_id = l.stripe_session_id
        WHERE l.closed_at IS NULL AND e.status = 'processed' AND e.type = 'checkout.session.expired'
    """,
    "processed payment event without its order": """
        SELECT e.id FROM stripe_events e WHERE e.status = 'processed' AND e.type IN
            ('checkout.session.completed', 'checkout.session.async_payment_succeeded',
             'checkout.session.async_payment_failed')
        AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.stripe_session_id = e.object_id)
    """,
    "processed refund event without its refund": f"""
        SELECT e.id FROM stripe_events e WHERE e.status = 'processed' AND e.type IN
            ('refund.created', 'refund.updated', 'refund.failed', 'charge.refund.updated')
        AND NOT EXISTS (SELECT 1 FROM refunds r WHERE r.stripe_refund_id = e.object_id)
        AND {_NOT_IMPORTED}
    """,
    "processed dispute event without its dispute": f"""
        SELECT e.id FROM stripe_events e WHERE e.status = 'processed' AND e.type IN
            ('charge.dispute.created', 'charge.dispute.updated', 'charge.dispute.closed',
             'charge.dispute.funds_withdrawn', 'charge.dispute.funds_reinstated')
        AND NOT EXISTS (SELECT 1 FROM disputes d WHERE d.stripe_dispute_id = e.object_id)
        AND {_NOT_IMPORTED}
    """,
    # billing.notices writes these rows of the outbox, in the transactions of their causes.
    "order that was not told": f"""
        SELECT o.id FROM orders o WHERE {_untold("o.stripe_session_id", _KIND)}
    """,
    "order whose key was not told": f"""
        SELECT o.id FROM orders o WHERE o.grant_id IS NOT NULL
        AND {_untold("o.stripe_session_id", "'key.issued'")}
    """,
    "refund that was not told": f"""
        SELECT r.id FROM refunds r WHERE {_untold("r.stripe_refund_id", "'order.refunded'")}
    """,
    "failed refund that was not told": f"""
        SELECT r.id FROM refunds r WHERE {_FAILED}
        AND {_untold("r.stripe_refund_id", "'order.refund_failed'")}
    """,
    "dispute that was not told": f"""
        SELECT d.id FROM disputes d WHERE d.status NOT LIKE 'warning%'
        AND {_untold("d.stripe_dispute_id", "'dispute.opened'")}
    """,
    "decided dispute that was not told": f"""
        SELECT d.id FROM disputes d WHERE d.status IN ('won', 'lost', 'prevented')
        AND {_untold("d.stripe_dispute_id || '/' || d.status", "'dispute.closed'")}
    """,
    "outbox row about a payment that has no order": """
        SELECT n.id FROM outbox n WHERE n.kind IN
            ('order.completed', 'order.duplicate', 'order.failed', 'payment.pending')
        AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.stripe_session_id = n.cause)
    """,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A row that breaks a rule: its primary key, in the table that the rule begins with."""

    rule: str
    pk: int

    def __str__(self) -> str:
        return f"{self.rule}: {self.pk}"


def violations() -> Iterator[Violation]:
    """The rows that break a rule, at most MAX_ROWS of each rule."""
    with connection.cursor() as cursor:
        for rule, query in RULES.items():
            cursor.execute(f"{query} ORDER BY 1 LIMIT {MAX_ROWS}")
            yield from (Violation(rule, pk) for (pk,) in cursor.fetchall())
