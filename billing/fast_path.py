"""Fast path: fulfil the common payment event in one SQL statement (PostgreSQL only).

The common case is a paid session without an order, of an unpaid conversation of the same user,
without an earlier refund or dispute. Every other case is left to the ordinary path (handlers,
fulfilment and links), which defines the result; tests/test_fast_path.py compares the two column by
column.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.db import connection

from apikeys import metrics, tokens
from billing import notices, receipts
from billing.fulfilment import KEY_NAME, LOCK_PAYMENT, NEEDS_REVIEW
from billing.models import RECORDED_SINCE
from billing.stripe.objects import REVERSAL_PARSERS, CheckoutSession, parse_session
from restapi import prepared_sql

# The events whose handler is `fulfil` if the session is paid.
_EVENT_TYPES = ("checkout.session.completed", "checkout.session.async_payment_succeeded")

MAX_ID = 2**63 - 1  # PostgreSQL cannot plan the statement with a larger one
LOCK = f"""
    {LOCK_PAYMENT}
    FROM (SELECT FROM stripe_events WHERE event_id = %(event_id)s FOR NO KEY UPDATE) AS event
"""
FULFIL = f"""
    WITH paid AS (
        UPDATE conversations
        SET payment_status = 'paid', stripe_session_id = %(session_id)s,
            decline_code = '', declined_at = NULL, updated_at = clock_timestamp()
        WHERE id = %(conversation_id)s AND user_id = %(user_id)s AND payment_status <> 'paid'
        AND EXISTS (
            SELECT FROM stripe_events
            WHERE event_id = %(event_id)s AND status = 'received'
        )
        AND NOT EXISTS (SELECT FROM orders WHERE stripe_session_id = %(session_id)s)
        AND NOT EXISTS (
            SELECT FROM stripe_events
            WHERE payment_intent_id = %(payment_intent_id)s AND status <> 'processed'
            AND type IN ({", ".join(f"'{kind}'" for kind in REVERSAL_PARSERS)})
        )
        RETURNING id
    ),
    granted AS (
        INSERT INTO grants (user_id, tier, updated_at)
        SELECT %(user_id)s, %(tier)s, clock_timestamp() FROM paid RETURNING id
    ),
    issued AS (
        INSERT INTO api_keys (user_id, grant_id, name, key_hash, key_prefix, updated_at)
        SELECT %(user_id)s, granted.id, %(key_name)s, %(key_hash)s, %(key_prefix)s,
            clock_timestamp()
        FROM granted RETURNING id, grant_id
    ),
    closed AS (
        UPDATE checkout_links SET closed_at = COALESCE(closed_at, clock_timestamp())
        FROM paid WHERE stripe_session_id = %(session_id)s
        RETURNING conversation_id <> paid.id OR (
            amount_cents IS NOT NULL
            AND (amount_cents, currency) <> (%(price_cents)s, %(price_currency)s)
        ) AS differs
    ),
    completed AS (
        INSERT INTO orders (
            user_id, conversation_id, stripe_session_id, stripe_payment_intent_id, amount_cents,
            currency, status, tier, livemode, needs_review, grant_id, receipt_url, paid_at,
            updated_at
        )
        SELECT
            %(user_id)s, paid.id, %(session_id)s, %(payment_intent_id)s, %(amount_cents)s,
            %(currency)s, 'completed', %(tier)s, %(livemode)s, COALESCE(
                (SELECT differs FROM closed), %(session_created_at)s >= ({RECORDED_SINCE}), true
            ), issued.grant_id, COALESCE(({receipts.NEWEST}), ''), clock_timestamp(),
            clock_timestamp()
        FROM paid, issued
        RETURNING id, conversation_id, needs_review
    ),
    told AS (
        INSERT INTO outbox (
            kind, cause, user_id, conversation_id, is_event, mail_status, mail_due_at, data
        )
        SELECT 'order.completed', %(session_id)s, %(user_id)s, completed.conversation_id, true,
            'waiting', clock_timestamp(),
            %(order_data)s::jsonb || jsonb_build_object('orderId', completed.id)
        FROM completed
        UNION ALL
        SELECT 'key.issued', %(session_id)s, %(user_id)s, completed.conversation_id, true,
            'none', NULL,
            %(key_data)s::jsonb
            || jsonb_build_object('orderId', completed.id, 'keyIds', jsonb_build_array(issued.id))
        FROM completed, issued
        ON CONFLICT DO NOTHING
    )
    UPDATE stripe_events
    SET status = 'processed', conversation_id = completed.conversation_id,
        outcome = 'order ' || completed.id || ' completed, key ' || issued.id || ' issued'
            || CASE WHEN completed.needs_review THEN '{NEEDS_REVIEW}' ELSE '' END,
        attempts = attempts + 1, last_error = '', next_attempt_at = NULL, parked_at = NULL,
        settled_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM completed, issued
    WHERE event_id = %(event_id)s
"""  # noqa: S608 - built from constants


def _is_common(session: CheckoutSession) -> bool:
    return (
        session.is_paid
        and session.payment_intent_id is not None
        and session.price.amount_cents is not None
        and session.livemode == settings.STRIPE_LIVEMODE
        and session.reference.user_id <= MAX_ID
        and settings.STRIPE_DEPLOYMENT in ("", session.reference.deployment)
    )


def try_fulfil(event: dict[str, Any]) -> bool:
    """Handle this recorded event if it is the common case; otherwise do nothing, return False.

    An event that failed before is handled as it was stored then, which this delivery may not be.

    FULFIL starts after LOCK has locked the event and the payment, so its snapshot includes every
    transaction that held them. If it waits for the conversation, PostgreSQL evaluates the
    conditions on that row again (PostgreSQL manual, 13.2.1). Times are clock_timestamp(): the
    transaction's own time may be earlier than the changes it waited for.
    """
    if connection.vendor != "postgresql" or event["type"] not in _EVENT_TYPES:
        return False
    try:
        session = parse_session(event["data"]["object"])
    except ValueError:  # raised again where the stored event is handled, unless that is settled
        return False
    if session is None or event.get("account") or not _is_common(session):
        return False
    reference = session.reference
    data = notices.order_data(
        session_id=session.id,
        amount_cents=session.amount_cents,
        currency=session.currency,
        tier=reference.tier,
    )
    parameters = {
        "event_id": event["id"],
        "session_id": session.id,
        "payment_intent_id": session.payment_intent_id,
        "conversation_id": reference.conversation_id,
        "amount_cents": session.amount_cents,
        "currency": session.currency,
        "price_cents": session.price.amount_cents,
        "price_currency": session.price.currency,
        "session_created_at": session.created_at,
        "livemode": session.livemode,
        "user_id": reference.user_id,
        "tier": reference.tier,
        "key_name": KEY_NAME,
        "order_data": json.dumps(data),
        "key_data": json.dumps({**data, **notices.key_data()}),
        **tokens.stored_columns(tokens.generate()),
    }
    prepared_sql.execute(LOCK, parameters)
    if prepared_sql.execute(FULFIL, parameters) != 1:
        return False
    metrics.count_after_commit(metrics.ISSUED)
    return True
