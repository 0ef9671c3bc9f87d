"""Django's PostgreSQL backend with limits on waiting: for locks, for statements, for a connection.

The limits of a transaction are SET LOCAL, so no pooler carries them over to another client.
Statements outside of a transaction have the limit of the role (`payflow.db.limit_lock_waits`).
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base

# After a connection attempt that took longer than SLOW, others fail at once for so many seconds.
SLOW = RETRY_AFTER = 1.0


class DatabaseWrapper(base.DatabaseWrapper):
    # A command may run longer statements than a request: payflow.db sets this for requests.
    serves_requests = False
    # Shared by all threads of the process.
    unreachable_until = 0.0

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; soon after a server was silent, fail at once instead of waiting again."""
        began = time.monotonic()
        if began < DatabaseWrapper.unreachable_until:
            raise self.Database.OperationalError("the database did not answer a moment ago")
        try:
            return super().get_new_connection(conn_params)
        except self.Database.OperationalError:
            now = time.monotonic()
            if now - began > SLOW:
                DatabaseWrapper.unreachable_until = now + RETRY_AFTER
            raise

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc]  # not in the stubs
        if not autocommit:
            with self.wrap_database_errors:
                self.connection.execute(self._limits())

    def _limits(self) -> str:
        limits = f"SET LOCAL lock_timeout = {settings.DATABASE_LOCK_TIMEOUT:d}"
        if self.serves_requests:
            limits += f"; SET LOCAL statement_timeout = {settings.DATABASE_STATEMENT_TIMEOUT:d}"
        return limits
