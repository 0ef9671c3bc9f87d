-- One payment, statement by statement, in two transactions: what the webhook brings about.
SELECT nextval('bench') AS n \gset
INSERT INTO stripe_events (event_id, type, livemode, api_version, payload, object_id, payment_intent_id, updated_at) VALUES ('evt_sql_' || :n, 'checkout.session.completed', false, '2026-10-28.endive', (SELECT payload FROM bench_payload)::jsonb, 'cs_sql_' || :n, 'pi_sql_' || :n, now()) ON CONFLICT DO NOTHING;
BEGIN;
SELECT * FROM stripe_events WHERE event_id = 'evt_sql_' || :n FOR NO KEY UPDATE;
SELECT pg_advisory_xact_lock(hashtextextended('pi_sql_' || :n, 0));
SELECT * FROM conversations WHERE id = :n FOR NO KEY UPDATE;
SELECT * FROM orders WHERE stripe_session_id = 'cs_sql_' || :n FOR NO KEY UPDATE;
UPDATE conversations SET payment_status = 'paid', stripe_session_id = 'cs_sql_' || :n, updated_at = now() WHERE id = :n;
UPDATE checkout_links SET closed_at = now() WHERE stripe_session_id = 'cs_sql_' || :n RETURNING *;
INSERT INTO grants (user_id, tier, updated_at) VALUES (1, 'premium', now()) RETURNING id AS grant_id \gset
INSERT INTO api_keys (user_id, grant_id, key_hash, key_prefix, name, updated_at) VALUES (1, :grant_id, encode(sha256(('sql' || :n)::bytea), 'hex'), 'sk_00000000000000000', 'Auto-generated from payment', now()) RETURNING id;
INSERT INTO orders (user_id, conversation_id, stripe_session_id, stripe_payment_intent_id, amount_cents, currency, status, grant_id, paid_at, updated_at) VALUES (1, :n, 'cs_sql_' || :n, 'pi_sql_' || :n, 2000, 'usd', 'completed', :grant_id, now(), now()) RETURNING *;
INSERT INTO outbox (kind, cause, user_id, conversation_id, is_event, mail_status, mail_due_at, data) VALUES ('order.completed', 'cs_sql_' || :n, 1, :n, true, 'waiting', now(), bench_data()) ON CONFLICT DO NOTHING;
INSERT INTO outbox (kind, cause, user_id, conversation_id, is_event, mail_status, data) VALUES ('key.issued', 'cs_sql_' || :n, 1, :n, true, 'none', bench_data()) ON CONFLICT DO NOTHING;
SELECT * FROM stripe_events WHERE payment_intent_id = 'pi_sql_' || :n AND type IN ('charge.refunded', 'refund.created', 'refund.updated', 'refund.failed', 'charge.refund.updated', 'charge.dispute.created', 'charge.dispute.updated', 'charge.dispute.closed', 'charge.dispute.funds_withdrawn', 'charge.dispute.funds_reinstated') AND status <> 'processed' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED;
UPDATE stripe_events SET status = 'processed', attempts = 1, outcome = 'order completed, key issued', conversation_id = :n, settled_at = now(), updated_at = now() WHERE event_id = 'evt_sql_' || :n;
COMMIT;
