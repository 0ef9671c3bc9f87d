-- A busy year: of :n orders most are completed, each with its key and three events. All invariants
-- hold: benchmarks.invariants checks them.
INSERT INTO users (email, name)
SELECT 'customer' || i || '@example.com', 'Customer ' || i FROM generate_series(1, %(n)s / 10) i;

INSERT INTO conversations (user_id, title, payment_status, stripe_session_id, created_at)
SELECT 1 + i %% (%(n)s / 10), 'Conversation ' || i,
       CASE WHEN i %% 40 = 3 THEN 'failed' WHEN i %% 500 = 5 THEN 'pending'
            WHEN i %% 100 = 1 OR i %% 5000 = 0 THEN 'unpaid' ELSE 'paid' END, 'cs_test_' || i,
       now() - (%(n)s - i) * (interval '365 days' / %(n)s)
FROM generate_series(1, %(n)s) i;

INSERT INTO grants (user_id, tier, created_at, revoked_at, suspended_at)
SELECT 1 + i %% (%(n)s / 10), 'premium', now() - (%(n)s - i) * (interval '365 days' / %(n)s),
       CASE WHEN i %% 100 = 1 THEN now() END, CASE WHEN i %% 2000 = 7 THEN now() END
FROM generate_series(1, %(n)s) i;

INSERT INTO api_keys (user_id, grant_id, key_hash, key_prefix, name, created_at, revealed_at,
                      revoked_at)
SELECT 1 + i %% (%(n)s / 10), i, encode(sha256(i::text::bytea), 'hex'),
       'sk_' || left(md5(i::text), 17), 'Auto-generated from payment',
       now() - (%(n)s - i) * (interval '365 days' / %(n)s),
       CASE WHEN i %% 50 = 0 THEN NULL ELSE now() END,
       CASE WHEN i %% 100 = 2 THEN now() END
FROM generate_series(1, %(n)s) i;

INSERT INTO orders (user_id, conversation_id, stripe_session_id, stripe_payment_intent_id,
                    amount_cents, currency, status, is_duplicate, grant_id, paid_at,
                    refunded_cents, refunded_at, dispute_status, created_at)
-- A duplicate is of the conversation before, which has an order that stands.
SELECT 1 + c %% (%(n)s / 10), c, 'cs_test_' || i, 'pi_' || i, 2000, CASE WHEN i %% 7 = 0 THEN 'eur' ELSE 'usd' END,
       CASE WHEN i %% 40 = 3 THEN 'failed' WHEN i %% 500 = 5 THEN 'pending' ELSE 'completed' END,
       i %% 5000 = 0, CASE WHEN i %% 40 = 3 OR i %% 500 = 5 OR i %% 5000 = 0 THEN NULL ELSE i END,
       now(), CASE WHEN i %% 100 = 1 THEN 2000 ELSE 0 END, CASE WHEN i %% 100 = 1 THEN now() END,
       CASE WHEN i %% 2000 = 7 THEN 'needs_response' ELSE '' END,
       now() - (%(n)s - i) * (interval '365 days' / %(n)s)
FROM generate_series(1, %(n)s) i, LATERAL (SELECT i - (i %% 5000 = 0)::int AS c) paid_for;

INSERT INTO refunds (order_id, stripe_refund_id, amount_cents, currency, status)
SELECT id, 're_' || id, 2000, currency, 'succeeded' FROM orders WHERE refunded_at IS NOT NULL;

INSERT INTO disputes (order_id, stripe_dispute_id, amount_cents, currency, status, last_event_at,
                      last_event_id)
SELECT id, 'du_' || id, 2000, currency, dispute_status, now(), id
FROM orders WHERE dispute_status <> '';

INSERT INTO outbox (kind, cause, user_id, conversation_id, data, is_event, position, mail_status,
                    created_at)
SELECT CASE WHEN status = 'failed' THEN 'order.failed' WHEN status = 'pending' THEN 'payment.pending'
            WHEN is_duplicate THEN 'order.duplicate' ELSE 'order.completed' END,
       stripe_session_id, user_id, conversation_id,
       jsonb_build_object('orderId', id, 'sessionId', stripe_session_id, 'amountCents', amount_cents,
                          'currency', currency, 'tier', tier),
       status <> 'pending', CASE WHEN status <> 'pending' THEN 2 * id END, 'sent', created_at
FROM orders
UNION ALL
SELECT 'key.issued', stripe_session_id, user_id, conversation_id,
       jsonb_build_object('orderId', id, 'keyIds', jsonb_build_array(grant_id), 'by', 'payment'),
       true, 2 * id + 1, 'none', created_at
FROM orders WHERE grant_id IS NOT NULL;

INSERT INTO outbox (kind, cause, user_id, conversation_id, is_event, position, mail_status)
SELECT 'order.refunded', stripe_refund_id, user_id, conversation_id, true, -2 * r.id, 'sent'
FROM refunds r JOIN orders o ON o.id = r.order_id
UNION ALL
SELECT 'dispute.opened', stripe_dispute_id, user_id, conversation_id, true, -2 * d.id - 1, 'sent'
FROM disputes d JOIN orders o ON o.id = d.order_id;

INSERT INTO checkout_links (link_id, stripe_session_id, user_id, conversation_id, tier,
                            stripe_price_id, amount_cents, created_at, closed_at)
SELECT 'link_' || id, stripe_session_id, user_id, conversation_id, 'premium', 'price_1',
       amount_cents, created_at, CASE WHEN status <> 'pending' THEN now() END
FROM orders;

INSERT INTO stripe_events (event_id, type, payload, status, attempts, outcome, conversation_id,
                           object_id, payment_intent_id, created_at, settled_at)
SELECT 'evt_' || i,
       CASE i %% 3 WHEN 0 THEN 'checkout.session.completed' WHEN 1 THEN 'charge.succeeded'
            ELSE CASE WHEN i %% 5 = 0 THEN 'payment_intent.payment_failed'
                      ELSE 'checkout.session.expired' END END,
       jsonb_build_object('id', 'evt_' || i, 'object', 'event', 'livemode', false, 'data',
                          jsonb_build_object('object', jsonb_build_object('id', 'cs_test_' || i, 'note', repeat('x', 200)))),
       CASE WHEN i %% 3 = 1 THEN 'ignored' WHEN i %% 100000 = 6 THEN 'failed'
            WHEN i %% 50000 = 3 THEN 'unmatched' ELSE 'processed' END,
       1, 'order ' || i / 3 || ' completed', 1 + (i / 3) %% %(n)s,
       CASE WHEN i %% 3 = 2 THEN 'cs_abandoned_' ELSE 'cs_test_' END || i / 3, 'pi_' || i / 3,
       now() - (3 * %(n)s - i) * (interval '365 days' / (3 * %(n)s)), now()
FROM generate_series(1, 3 * %(n)s) i;
