"""`make run` and `make demo`: start, use, stop, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.ports import LOOPBACK, is_free
from devtools.tests.make_run import START_TIMEOUT, Run

pytestmark = [pytest.mark.http, pytest.mark.timeout(180)]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.clean_up()


def test_the_printed_curl_command_and_the_demo_work(run: Run) -> None:
    run.start_and_wait()

    curl = run.text[run.text.index("curl") :].split("\n\n")[0]
    answer = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, check=True)
    assert '"sessionId":"cs_test_' in answer.stdout

    demo = run.demo()
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stdout.splitlines()[-3].split() == ["401", "GET", "/api/conversations"]
    again = run.demo()
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_stops_both_servers(run: Run, end: signal.Signals) -> None:
    run.start_and_wait()
    assert run.processes

    assert run.end(end) == 0

    assert run.processes == {}
    assert is_free(run.port)
    assert run.text.endswith("\npayflow: stopped\n")
    assert "Traceback" not in run.text
    assert "nothing is running here" in run.demo().stderr


def test_nothing_is_left_after_sigkill(run: Run) -> None:
    run.start_and_wait()

    run.end(signal.SIGKILL)

    deadline = time.monotonic() + START_TIMEOUT
    while run.processes and time.monotonic() < deadline:
        time.sleep(0.1)
    assert run.processes == {}


def test_when_one_server_ends_the_other_is_stopped_and_the_first_named(run: Run) -> None:
    run.start_and_wait()
    stripe = next(pid for pid, line in run.processes.items() if " -m sandbox" in line)
    os.kill(stripe, signal.SIGKILL)

    assert run.wait() == 1

    assert run.processes == {}
    assert "payflow: stripe has ended with status 137" in run.text


def test_a_port_in_use_is_one_line_that_says_what_to_do(run: Run) -> None:
    with socket.create_server((LOOPBACK, run.port)):
        assert run.refusal() == (
            f"payflow: port {run.port} is in use; choose another: make run PORT={run.port + 1}\n"
        )


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_123"}, "STRIPE_SECRET_KEY is a live key"),
        ({"PORT": "many"}, "PORT must be a whole number"),
        ({"JWT_SECRET": "short"}, "JWT_SECRET is too short"),
    ],
)
def test_bad_configuration_is_refused_in_one_line(
    tmp_path: Path, variables: dict[str, str], reason: str
) -> None:
    assert reason in Run(tmp_path, **variables).refusal()


def test_a_refusal_beside_another_run_is_one_line_too(run: Run, tmp_path: Path) -> None:
    run.start_and_wait()
    other = tmp_path / "other"
    other.mkdir()
    assert "is a live key" in Run(other, STRIPE_SECRET_KEY="sk_live_123").refusal()


def test_the_env_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("STRIPE_SECRET_KEY=sk_live_123\n")
    run = Run(tmp_path, ENV_FILE=str(file))
    assert "STRIPE_SECRET_KEY is a live key" in run.refusal()


def test_the_demo_without_a_server_says_how_to_start_one(run: Run) -> None:
    demo = run.demo()
    assert demo.returncode == 1
    assert demo.stderr == (
        "payflow: nothing is running here: start it with `make run` in another terminal\n"
    )
