-- The rights of the application's database role. Run it as the owner of the tables, after every
-- `manage.py migrate`, which runs as the owner too:
--
--     psql "$OWNER_DATABASE_URL" -v ON_ERROR_STOP=1 -f deploy/postgresql/roles.sql
--
-- Once, as an administrator, and then in the application's DATABASE_URL:
--
--     CREATE ROLE payflow_app NOLOGIN;
--     CREATE ROLE payflow_web LOGIN PASSWORD '…' IN ROLE payflow_app;
--     ALTER ROLE payflow_web IN DATABASE payflow SET lock_timeout = '1s';
--
-- The role changes rows. It can't change tables, triggers or functions, empty a table, delete an
-- order, a grant, a key or a conversation, or rewrite who did what in the audit log.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM payflow_app;
REVOKE CREATE ON SCHEMA public FROM payflow_app, PUBLIC;
GRANT USAGE ON SCHEMA public TO payflow_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO payflow_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO payflow_app;

-- Written by migrations alone.
REVOKE INSERT, UPDATE ON django_migrations, django_content_type FROM payflow_app;

-- What the application deletes: what has ended, what retention removes, and a superuser's edits of
-- accounts and groups.
GRANT DELETE ON
    account_emailaddress, account_emailconfirmation, auth_group_permissions, axes_accessattempt,
    axes_accessattemptexpiration, axes_accessfailurelog, axes_accesslog, browser_sessions,
    mfa_authenticator, refresh_tokens, stripe_events, users, users_groups, users_user_permissions,
    webhook_deliveries
TO payflow_app;

-- The audit log: rows are added and completed. Digests are added; only their salts are removed.
REVOKE UPDATE ON support_actions, audit_digests, django_admin_log FROM payflow_app;
GRANT UPDATE (reason, outcome, changes, succeeded, finished_at, stripe_refund_id)
    ON support_actions TO payflow_app;
GRANT UPDATE (salt) ON audit_digests TO payflow_app;
GRANT UPDATE (object_repr, change_message) ON django_admin_log TO payflow_app;
