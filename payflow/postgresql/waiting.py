"""A limit on waiting for an answer of the database, kept by this process.

The server's own limits end what it still runs. They don't help against a server that is frozen,
or a host whose kernel still acknowledges what nobody answers; and a pooler would carry one that
is set for the session over to another client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import psycopg

# Seconds without an answer after which the server is asked whether it still lives, and seconds for
# its answer.
SUSPICIOUS = 1.0
ALIVE_WITHIN = 2

Limit = Callable[[], float | None]


class NoAnswer(psycopg.OperationalError):
    """The connection is closed. What was asked for may have happened."""


def limit_waits(
    connection: psycopg.Connection[Any],
    limit: Limit,
    parameters: dict[str, Any],
    is_dead: Callable[[], object],
) -> None:
    """Let what waits for this connection's server raise NoAnswer after `limit()` seconds.

    If the server no longer accepts connections, by `parameters`, it calls `is_dead` and raises
    after a few seconds.
    """
    if "wait" in vars(connection):  # it comes from a pool, for the second time
        return
    wait_for_ever = connection.wait

    def wait(answer: Any, **options: Any) -> Any:
        watch = _Watch(limit, parameters)
        try:
            return wait_for_ever(watch.over(answer), **options)
        except NoAnswer:
            if watch.is_dead:
                is_dead()
            else:
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=ALIVE_WITHIN)
            connection.close()
            raise

    connection.wait = wait  # type: ignore[assignment, method-assign]  # of one


class _Watch:
    """Looks at the clock while psycopg waits, which it interrupts every tenth of a second."""

    def __init__(self, limit: Limit, parameters: dict[str, Any]) -> None:
        self._limit = limit
        self._parameters = parameters
        self._began = time.monotonic()
        self._asked = False
        self.is_dead = False

    def over(self, answer: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same generator of psycopg's, which raises NoAnswer when it is time."""
        try:
            awaited = next(answer)
            while True:
                ready = yield awaited
                if not ready:
                    self._look()
                awaited = answer.send(ready)
        except StopIteration as done:
            return done.value

    def _look(self) -> None:
        waited = time.monotonic() - self._began
        if waited > SUSPICIOUS and not self._asked:
            self._asked = True
            self.is_dead = _is_dead(self._parameters)
        limit = self._limit()
        if self.is_dead or (limit is not None and waited > limit):
            raise NoAnswer(f"The database has not answered for {waited:.0f} s.")


def _is_dead(parameters: dict[str, Any]) -> bool:
    """Whether a new connection gets no answer. One that is refused is an answer."""
    try:
        psycopg.connect(**{**parameters, "connect_timeout": ALIVE_WITHIN}).close()
    except psycopg.errors.ConnectionTimeout:
        return True
    except psycopg.Error:
        return False
    return False
