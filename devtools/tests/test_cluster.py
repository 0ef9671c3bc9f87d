"""`make cluster`: its configuration is that of deploy/, and its programs start and stop."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from devtools import debian
from devtools.cluster import configuration, daemons, topology
from devtools.cluster.__main__ import main
from devtools.cluster.daemons import Daemon
from devtools.cluster.layout import Layout, directory_of

pytestmark = pytest.mark.http

SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(60)"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_proxy_of_deploy_serves_both_nodes_without_tls(temporary: Path) -> None:
    layout = Layout(8080)
    text = configuration.reference_proxy(layout)
    assert text.count("max_fails=0;") == 2
    assert all(f"server {layout.address(node)} " in text for node in ("web1", "web2"))
    assert "listen 127.0.0.1:8080;" in text
    assert "ssl" not in text
    assert "web-1" not in text
    assert "proxy_request_buffering on;" in text


def test_the_edge_of_deploy_asks_both_nodes(temporary: Path) -> None:
    layout = Layout(8080)
    text = configuration.edge(layout)
    assert all(f"server {layout.address(node)} " in text for node in ("web1", "web2"))
    assert f"listen {layout.address('edge')};" in text
    assert "127.0.0.1:3000" not in text


def test_pgbouncer_pools_transactions_in_front_of_the_leader(temporary: Path) -> None:
    if debian.find("pgbouncer") is None:
        absent = pytest.fail if os.environ.get("CI") else pytest.skip
        absent(debian.missing("pgbouncer"))
    layout = Layout(8080)
    text = configuration.pgbouncer(layout)
    host, port = layout.address("primary").split(":")
    assert f"payflow = host={host} port={port} dbname=payflow" in text
    assert "pool_mode = transaction" in text
    assert ("max_prepared_statements =" in text) is configuration.pgbouncer_prepares()


def test_a_layout_is_kept_with_its_secrets_readable_by_its_owner_only(temporary: Path) -> None:
    layout = Layout(8080)
    layout.directory.mkdir()
    layout.save()
    assert Layout.load(8080) == layout
    assert (layout.directory / "layout.json").stat().st_mode & 0o077 == 0
    assert Layout.load(8081) is None


def test_a_program_is_stopped_and_not_another_one_with_its_number(tmp_path: Path) -> None:
    daemons.start(Daemon("sleeper", SLEEP, os.environ, as_root=True), tmp_path)
    assert daemons.is_running("sleeper", tmp_path)
    file = tmp_path / "sleeper.pid"
    right = file.read_text()
    file.write_text(f"{right.split()[0]} 1")  # the number is another process's by now
    assert not daemons.is_running("sleeper", tmp_path)
    file.write_text(right)
    daemons.stop("sleeper", tmp_path)
    assert not file.exists()
    assert not Path(f"/proc/{right.split()[0]}").exists()


def test_a_killed_program_is_not_running(tmp_path: Path) -> None:
    daemons.start(Daemon("sleeper", SLEEP, os.environ, as_root=True), tmp_path)
    daemons.kill("sleeper", tmp_path)
    assert not daemons.is_running("sleeper", tmp_path)


def test_down_stops_every_program_and_leaves_nothing(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLUSTER_PORT", "8080")
    run = directory_of(8080) / "run"
    run.mkdir(parents=True)
    daemons.start(Daemon("nginx", SLEEP, os.environ, as_root=True), run)
    pid = (run / "nginx.pid").read_text().split()[0]
    assert main(["down"]) == 0
    assert not directory_of(8080).exists()
    assert not Path(f"/proc/{pid}").exists()
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "payflow: stopped\npayflow: no cluster was running\n"


def test_every_part_that_starts_is_stopped_in_order(temporary: Path) -> None:
    cluster = topology.Cluster(Layout(8080))
    for name in topology.STOP_ORDER:
        program = cluster._daemon(name).command[0]
        assert shutil.which(program) or program in debian.CLUSTER_PACKAGES
