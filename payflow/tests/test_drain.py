"""A process stops accepting from a socket that others share, and touches nothing else."""

from __future__ import annotations

import select
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from devtools.ports import LOOPBACK
from payflow.drain import stop_accepting

pytestmark = pytest.mark.http

WRITE = "import sqlite3, sys; sqlite3.connect(sys.argv[1], 0).execute('BEGIN IMMEDIATE')"


def test_the_others_go_on_accepting_and_this_one_is_not_woken() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener, select.epoll() as poll:
        address = listener.getsockname()
        poll.register(listener, select.EPOLLIN)
        other = subprocess.Popen(["sleep", "60"], pass_fds=[listener.fileno()])  # noqa: S607
        try:
            stop_accepting(listener)
            socket.create_connection(address, timeout=10).close()
            assert poll.poll(0.2) == []
        finally:
            other.kill()
            other.wait()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_the_locks_of_a_database_file_are_kept(tmp_path: Path, mode: str) -> None:
    """The system drops them when a process closes any descriptor of the file."""
    file = tmp_path / "db.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE x (y)")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO x VALUES (1)")
        with socket.create_server((LOOPBACK, 0)) as listener:
            stop_accepting(listener)
        writer = [sys.executable, "-c", WRITE, str(file)]
        refused = subprocess.run(writer, capture_output=True, text=True, check=False)  # noqa: S603
        assert "database is locked" in refused.stderr
        connection.execute("COMMIT")
