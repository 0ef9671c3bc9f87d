"""Django's PostgreSQL backend with limits on waiting: for locks, statements, answers, connections.

The limits of a transaction are SET LOCAL, so no pooler carries them over to another client.
Statements outside of a transaction have the lock_timeout of the role
(`payflow.db.limit_lock_waits`); this process cancels those that take too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base

from payflow.postgresql.waiting import limit_waits

# After a connection attempt that took longer than SLOW, others fail at once for so many seconds.
SLOW = RETRY_AFTER = 1.0
# Seconds for the server to end a statement of a request by itself, before it is cancelled.
GRACE = 2.0
# Seconds for a statement of a command or a background job.
COMMAND_LIMIT = 600.0


class DatabaseWrapper(base.DatabaseWrapper):
    # A command may run longer statements than a request: payflow.db sets this for requests.
    serves_requests = False
    # `migrate` waits as long as it takes.
    has_time_limit = True
    # Shared by all threads of the process.
    unreachable_until = 0.0

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; soon after a server was silent, fail at once instead of waiting again."""
        began = time.monotonic()
        if began < DatabaseWrapper.unreachable_until:
            raise self.Database.OperationalError("the database did not answer a moment ago")
        try:
            connection = super().get_new_connection(conn_params)
        except self.Database.OperationalError:
            if time.monotonic() - began > SLOW:
                self._note_silence()
            raise
        self.limit_waits(connection, self._answer_limit)
        return connection

    def limit_waits(self, connection: Any, limit: Callable[[], float | None]) -> None:
        """Bound what waits for an answer on this connection to the same server."""
        limit_waits(connection, limit, self.get_connection_params(), self._note_silence)

    @staticmethod
    def _note_silence() -> None:
        DatabaseWrapper.unreachable_until = time.monotonic() + RETRY_AFTER

    def _answer_limit(self) -> float | None:
        if not self.has_time_limit:
            return None
        if not self.serves_requests:
            return COMMAND_LIMIT
        timeout = settings.DATABASE_STATEMENT_TIMEOUT
        return timeout / 1000 + GRACE if timeout else None

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
