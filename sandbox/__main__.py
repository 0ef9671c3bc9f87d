"""Command line: `python -m sandbox` parses options, serves until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.database import StateFileError
from sandbox.options import Options, prices_from, signing_secret_from
from sandbox.server import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a stop signal arrives. Returns 1 if the server cannot start."""
    options = _options(arguments, os.environ)
    try:
        asyncio.run(_serve(options))
    except StateFileError as error:
        return _startup_error(str(error))
    except OSError as error:
        where = options.socket if options.socket and error.filename else f"port {options.port}"
        return _startup_error(f"cannot listen on {where}: {_reason(error)}")
    except KeyboardInterrupt:
        pass
    return 0


async def _serve(options: Options) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    sandbox = Sandbox(options)
    try:
        await sandbox.start()
        _print_startup(sandbox)
        await stopped.wait()
    finally:
        await sandbox.stop()


def _print_startup(sandbox: Sandbox) -> None:
    options = sandbox.account.options
    _print(f"sandbox: {sandbox.account.base_url} (loopback only, test keys only)")
    if options.socket is not None:
        _print(f"sandbox: also on the Unix socket {options.socket}")
    if options.webhook is not None:
        _print(f"sandbox: events go to {options.webhook}")
    if sandbox.signing_secret is not None and options.webhook_secret is None:
        _print(f"sandbox: STRIPE_WEBHOOK_SECRET={sandbox.signing_secret}")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="A local Stripe: Checkout, test cards and signed webhooks, offline.",
        epilog="Listens on 127.0.0.1 only. Accepts only test keys (sk_test_… or rk_test_…).",
    )
    parser.add_argument("--port", type=_port, default=12111, help="0 picks a free port")
    parser.add_argument("--webhook", type=_url, help="URL that receives every event, signed")
    parser.add_argument("--state", type=Path, help="SQLite file that keeps the state between runs")
    parser.add_argument("--socket", type=Path, help="Unix socket to listen on in addition")
    given = parser.parse_args(arguments)
    return replace(
        Options(),
        port=given.port,
        webhook=given.webhook,
        webhook_secret=signing_secret_from(environment),
        state=given.state,
        socket=given.socket,
        prices=prices_from(environment),
    )


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return number


def _url(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError("must be an absolute http(s) URL")
    return text


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _startup_error(reason: str) -> int:
    sys.stderr.write(f"sandbox: {reason}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
