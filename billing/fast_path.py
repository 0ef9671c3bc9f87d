"""What nearly every event is, settled by one word to PostgreSQL.

A session that was paid, without an order yet, of a conversation that is its owner's and not paid,
with a payment of which nothing else was said before. Handlers and fulfilment are the rule, step by
step; this is their most frequent case, which a test compares with them column by column.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection

from apikeys import tokens
from billing import prepared_sql
from billing.fulfilment import KEY_NAME, LOCK_PAYMENT
from billing.stripe.objects import REVERSAL_PARSERS, checkout_session

# Of which `fulfil` is the handler once the money is there.
_TELL_OF_MONEY = ("checkout.session.completed", "checkout.session.async_payment_succeeded")

LARGEST_ID = 2**63 - 1  # beyond it PostgreSQL cannot even plan the statement
LOCK = f"""
    {LOCK_PAYMENT}
    FROM (SELECT FROM stripe_events WHERE event_id = %(event_id)s FOR NO KEY UPDATE) AS event
"""
SETTLE = f"""
    WITH paid AS (
        UPDATE conversations
        SET payment_status = 'paid', stripe_session_id = %(session_id)s,
            updated_at = clock_timestamp()
        WHERE id = %(conversation_id)s AND user_id = %(user_id)s AND payment_status <> 'paid'
        AND EXISTS (
            SELECT FROM stripe_events
            WHERE event_id = %(event_id)s AND status NOT IN ('processed', 'ignored')
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
    completed AS (
        INSERT INTO orders (
            user_id, conversation_id, stripe_session_id, stripe_payment_intent_id, amount_cents,
            currency, status, tier, livemode, grant_id, paid_at, updated_at
        )
        SELECT
            %(user_id)s, paid.id, %(session_id)s, %(payment_intent_id)s, %(amount_cents)s,
            %(currency)s, 'completed', %(tier)s, %(livemode)s, issued.grant_id,
            clock_timestamp(), clock_timestamp()
        FROM paid, issued
        RETURNING id, conversation_id
    )
    UPDATE stripe_events
    SET status = 'processed', conversation_id = completed.conversation_id,
        outcome = 'order ' || completed.id || ' completed, key ' || issued.id || ' issued',
        attempts = attempts + 1, last_error = '', next_attempt_at = NULL, parked_at = NULL,
        settled_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM completed, issued
    WHERE event_id = %(event_id)s
"""  # noqa: S608 - our own parts


def settle(event: dict[str, Any]) -> bool:
    """Settle this stored event, if it is such a payment; False where nothing was done.

    The statement that acts begins when the locks of the event and of the payment are held, so it
    sees what any other transaction has done to them. Where the conversation must be waited for,
    PostgreSQL looks at its conditions again (its manual, 13.2.1). Times are those of the clock:
    the transaction's own may lie before what it has waited for.
    """
    if connection.vendor != "postgresql" or event["type"] not in _TELL_OF_MONEY:
        return False
    session = checkout_session(event["data"]["object"])
    if session is None or session.payment_intent_id is None:
        return False
    if not session.is_paid or session.livemode != settings.STRIPE_LIVEMODE:
        return False
    reference = session.reference
    if reference.user_id > LARGEST_ID:
        return False
    parameters = {
        "event_id": event["id"],
        "session_id": session.id,
        "payment_intent_id": session.payment_intent_id,
        "conversation_id": reference.conversation_id,
        "amount_cents": session.amount_cents,
        "currency": session.currency,
        "livemode": session.livemode,
        "user_id": reference.user_id,
        "tier": reference.tier,
        "key_name": KEY_NAME,
        **tokens.stored_columns(tokens.generate()),
    }
    prepared_sql.execute(LOCK, parameters)
    return prepared_sql.execute(SETTLE, parameters) == 1
