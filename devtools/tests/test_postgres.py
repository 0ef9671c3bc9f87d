"""The private PostgreSQL: it starts, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devtools import postgres
from devtools.postgres import Cluster, ClusterError, PostgresNotFoundError

pytestmark = pytest.mark.postgres

OWNER = """
import time
from devtools.postgres import Cluster
cluster = Cluster()
cluster.start()
print(cluster.directory, flush=True)
time.sleep(60)
"""


def show(cluster: Cluster, setting: str) -> str:
    with psycopg.connect(cluster.url()) as connection:
        row = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """A process with a cluster of its own; it prints the cluster's directory."""
    root = Path(postgres.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, cwd=root
    )
    with process:
        yield process
        process.kill()


def test_the_server_answers_and_its_data_is_removed() -> None:
    with Cluster() as cluster:
        assert show(cluster, "server_version").startswith(cluster.version)
        assert show(cluster, "listen_addresses") == ""
        assert cluster.log.exists()
    assert not cluster.directory.exists()
    cluster.stop()


def test_safety_settings_are_off_unless_it_is_durable() -> None:
    with Cluster() as fast, Cluster(durable=True) as durable:
        assert [show(fast, "fsync"), show(durable, "fsync")] == ["off", "on"]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_parent_process_is_killed(
    owner: subprocess.Popen[str], end: signal.Signals
) -> None:
    assert owner.stdout
    directory = Path(owner.stdout.readline().strip())
    assert (directory / "data" / "postmaster.pid").exists()

    owner.send_signal(end)

    deadline = time.monotonic() + 20
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not directory.exists()


def test_a_directory_too_deep_for_a_socket_gets_a_shorter_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with Cluster(parent=deep) as cluster:
        assert cluster.directory.parent == deep
        assert show(cluster, "data_directory") == str(cluster.directory / "data")
    assert not cluster.directory.exists()
    assert not cluster.socket.parent.exists()


def test_libpq_variables_of_the_shell_do_not_redirect_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with Cluster() as cluster:
        assert show(cluster, "port") == str(postgres.PORT)


def test_a_server_that_cannot_start_is_reported_with_its_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(postgres.SERVER_OPTIONS, "max_connections", "no number")
    cluster = Cluster()
    with pytest.raises(ClusterError, match="max_connections"):
        cluster.start()
    assert not cluster.directory.exists()


def test_missing_server_programs_raise_an_error_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "_program_directories", lambda: iter([]))
    with pytest.raises(PostgresNotFoundError, match="no PostgreSQL 14 or newer runs here"):
        Cluster()
