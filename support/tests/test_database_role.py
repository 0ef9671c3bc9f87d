"""The application under its database role (deploy/postgresql/roles.sql): what it does, and can't.

The tests imported here are those of other modules, run again under the role.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import ProgrammingError, connection

from accounts.tests.test_tokens import (
    test_email_in_any_case_and_password_give_a_working_pair,  # noqa: F401
)
from apikeys.tests.test_self_service import (  # noqa: F401
    browser,
    owner,
    test_the_page_renames_and_rotates,
)
from billing.tests.test_payments import (  # noqa: F401
    test_a_second_paid_session_is_a_duplicate_order_without_a_key,
    test_an_expired_session_fails_its_pending_conversation,
    test_two_events_for_one_payment_make_one_order_and_one_key,
)
from payflow.tests.test_personal_data import (  # noqa: F401
    person,
    test_failed_sign_ins_are_deleted_after_a_time,
    test_nothing_in_the_database_names_an_erased_person,
)
from support.tests.test_audit_log import (  # noqa: F401
    actions,
    test_erased_texts_leave_the_chain_whole,
    test_the_chain_holds_after_what_staff_do,
)
from support.tests.test_sign_in import (  # noqa: F401
    ada,
    clock,
    refunds,
    test_a_refund_above_the_limit_asks_for_the_password_again,
    test_where_it_is_required_staff_set_up_a_second_factor_first,
)

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

SQL = Path(__file__).resolve().parents[2] / "deploy" / "postgresql" / "roles.sql"
CREATE_ROLE = """
    DO $$ BEGIN CREATE ROLE payflow_app NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
"""


@pytest.fixture(autouse=True)
def application_role(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every connection is opened under the role; the tables are emptied by their owner again."""
    with connection.cursor() as cursor:
        cursor.execute(CREATE_ROLE)
        cursor.execute(SQL.read_text())
    options = connection.settings_dict["OPTIONS"]
    with monkeypatch.context() as patch:
        patch.setitem(options, "options", f"{options.get('options', '')} -c role=payflow_app")
        connection.close()
        yield
    connection.close()


def test_the_role_is_in_use() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("payflow_app",)


FORBIDDEN = (
    "DELETE FROM orders",
    "DELETE FROM grants",
    "DELETE FROM api_keys",
    "DELETE FROM conversations",
    "DELETE FROM refunds",
    "DELETE FROM support_actions",
    "DELETE FROM audit_digests",
    "UPDATE support_actions SET actor_id = 1",
    "UPDATE support_actions SET created_at = now()",
    "UPDATE audit_digests SET digest = ''",
    "UPDATE django_migrations SET name = ''",
    "TRUNCATE stripe_events",
    "DROP TABLE audit_digests",
    "ALTER TABLE api_keys DISABLE TRIGGER ALL",
    "DROP TRIGGER payflow_api_keys_changed ON api_keys",
    "CREATE TABLE mine (id int)",
    "SET session_replication_role = replica",
    "COPY users TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/hostname')",
)


def test_the_role_may_not_delete_money_rewrite_the_audit_log_or_change_tables() -> None:
    with connection.cursor() as cursor:
        for statement in FORBIDDEN:
            with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
                cursor.execute(statement)
