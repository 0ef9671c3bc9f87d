"""Benchmark of the sandbox: start time, sessions created per second, memory.

    .venv/bin/python -m benchmarks.sandbox [--sessions 10000] [--state]

The server is pinned to one core and the clients to the others, if there are any. Requests go over
loopback as an SDK sends them, with one keep-alive connection per client.
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

START_LIMIT = 1.0
RATE_LIMIT = 200.0
MEMORY_LIMIT = 80.0
CLIENTS = 4

_BODY = urlencode(
    {
        "mode": "payment",
        "line_items[0][price]": "price_sandbox_premium",
        "line_items[0][quantity]": "1",
        "success_url": "http://127.0.0.1:3000/payments/success?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:3000/payments/cancel",
        "customer_email": "customer@example.com",
        "client_reference_id": "1",
        "metadata[user_id]": "1",
        "metadata[conversation_id]": "1",
        "metadata[tier]": "premium",
        "payment_intent_data[metadata][user_id]": "1",
        "payment_intent_data[metadata][conversation_id]": "1",
    }
)


@dataclass(frozen=True)
class Figures:
    """What was measured: seconds, sessions a second, MiB."""

    start: float
    rate: float
    memory_before: float
    memory_after: float

    def rows(self) -> list[tuple[str, str, bool]]:
        """Each figure with what it should be, and whether it is."""
        return [
            ("start", f"{self.start:.2f} s (under {START_LIMIT:g})", self.start < START_LIMIT),
            (
                "sessions created",
                f"{self.rate:.0f} a second (at least {RATE_LIMIT:g})",
                self.rate >= RATE_LIMIT,
            ),
            (
                "resident memory",
                f"{self.memory_before:.0f} MiB at first, {self.memory_after:.0f} MiB after all "
                f"(under {MEMORY_LIMIT:g})",
                self.memory_after < MEMORY_LIMIT,
            ),
        ]


def main() -> int:
    """Measure and print; 1 when a figure misses its mark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--state", action="store_true", help="keep state in a file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.sqlite3" if given.state else None
        figures = measure(given.sessions, state)
    for name, text, good in figures.rows():
        sys.stdout.write(f"{name:<18} {text}  {'ok' if good else 'MISSED'}\n")
    return 0 if all(good for _, _, good in figures.rows()) else 1


def measure(sessions: int, state: Path | None) -> Figures:
    """Start a sandbox and create so many sessions in it."""
    began = time.perf_counter()
    with server(state) as (process, port):
        start = time.perf_counter() - began
        keep_apart(process.pid)
        memory_before = resident_mebibytes(process.pid)
        began = time.perf_counter()
        create_all(port, sessions)
        rate = sessions / (time.perf_counter() - began)
        return Figures(start, rate, memory_before, resident_mebibytes(process.pid))


@contextmanager
def server(state: Path | None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A sandbox in a process of its own, from its start to its ready line and its end."""
    command = [sys.executable, "-m", "sandbox", "--port", "0"]
    if state is not None:
        command += ["--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        ready = process.stdout.readline()
        yield process, int(ready.split("http://127.0.0.1:")[1].split()[0])
    finally:
        process.terminate()
        process.wait(10)


def keep_apart(pid: int) -> None:
    """Hold the server to one core and the clients to the others."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, cores[:1])
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])


def create_all(port: int, sessions: int) -> None:
    """Create so many sessions with a few clients at once."""
    share = [sessions // CLIENTS + (i < sessions % CLIENTS) for i in range(CLIENTS)]
    threads = [threading.Thread(target=create_some, args=(port, count)) for count in share]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def create_some(port: int, count: int) -> None:
    """Create sessions one after the other over one connection. Raises when one is refused."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {
        "Authorization": "Bearer sk_test_benchmark",
        "Content-Type": "application/x-www-form-urlencoded",
        "Stripe-Version": "2026-10-28.endive",
    }
    for number in range(count):
        key = f"{threading.get_ident()}-{number}"
        connection.request(
            "POST", "/v1/checkout/sessions", _BODY, {**headers, "Idempotency-Key": key}
        )
        response = connection.getresponse()
        body = response.read()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(body.decode())
    connection.close()


def resident_mebibytes(pid: int) -> float:
    """A process's resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


if __name__ == "__main__":
    raise SystemExit(main())
