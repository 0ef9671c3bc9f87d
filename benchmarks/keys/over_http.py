"""Requests per second over HTTP, on persistent connections."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

CONNECTIONS = 8


def rate(port: int, path: str, headers: Sequence[str], seconds: float) -> float:
    """Answers per second to eight clients; raises the first error of any."""
    counts = [0] * CONNECTIONS
    ends = time.monotonic() + seconds

    def run(index: int) -> None:
        own = headers[index::CONNECTIONS] or headers
        with socket.create_connection(("127.0.0.1", port)) as connection:
            while time.monotonic() < ends:
                _ask(connection, path, own[counts[index] % len(own)])
                counts[index] += 1

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(run, range(CONNECTIONS)))
    return sum(counts) / seconds


def _ask(connection: socket.socket, path: str, authorization: str) -> None:
    """Send one request and read its answer."""
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
    if authorization:
        head += f"Authorization: {authorization}\r\n"
    connection.sendall(f"{head}\r\n".encode())
    answer = b""
    while not _complete(answer):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"{path}: the connection ended")
        answer += piece
    if answer[9:11] != b"20":
        raise ConnectionError(f"{path}: {answer[:200]!r}")


def _complete(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    _, _, length = head.lower().partition(b"content-length: ")
    return not length or len(body) >= int(length.split(b"\r\n")[0])
