"""Command line, `stripe-sandbox` or `python -m sandbox`: serves until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from sandbox import __version__
from sandbox.database import StateFileError
from sandbox.fixtures import FixtureError
from sandbox.options import Options, prices_from, signing_secret_from
from sandbox.server import Sandbox

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a stop signal arrives. Returns 1 if the server cannot start."""
    options = _options(arguments, os.environ)
    try:
        asyncio.run(_serve(options))
    except (StateFileError, FixtureError) as error:
        return _startup_error(str(error))
    except OSError as error:
        where = options.socket if options.socket and error.filename else f"port {options.port}"
        return _startup_error(f"cannot listen on {where}: {_reason(error)}")
    except KeyboardInterrupt:
        pass
    return 0


def command() -> None:
    """The `stripe-sandbox` command."""
    raise SystemExit(main())


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
    reach = "loopback only" if options.listen in _LOOPBACK else f"listening on {options.listen}"
    _print(f"sandbox: {sandbox.account.base_url} ({reach}, test keys only)")
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
        prog=_program_name(),
        description="A local Stripe: Checkout, test cards and signed webhooks, offline.",
        epilog="Accepts only test keys (sk_test_… or rk_test_…).",
    )
    parser.add_argument("--port", type=_port, default=12111, help="0 picks a free port")
    parser.add_argument("--webhook", type=_url, help="URL that receives every event, signed")
    parser.add_argument("--state", type=Path, help="SQLite file that keeps the state between runs")
    parser.add_argument("--socket", type=Path, help="Unix socket to listen on in addition")
    parser.add_argument("--fixtures", type=Path, help="file of objects to create at the start")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=_host,
        metavar="NAME",
        help="name by which another container may reach it; may be repeated",
    )
    parser.add_argument(
        "--listen",
        default=_LOOPBACK[0],
        metavar="ADDRESS",
        help="address to listen on; another than loopback needs --allow-host",
    )
    parser.add_argument("--public-url", type=_url, help="base of the URLs in objects and pages")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    given = parser.parse_args(arguments)
    if given.listen not in _LOOPBACK and not given.allow_host:
        parser.error("--listen with another address than loopback needs --allow-host")
    return replace(
        Options(),
        port=given.port,
        webhook=given.webhook,
        webhook_secret=signing_secret_from(environment),
        state=given.state,
        socket=given.socket,
        prices=prices_from(environment),
        listen=given.listen,
        allowed_hosts=frozenset(given.allow_host),
        public_url=given.public_url and given.public_url.rstrip("/"),
        fixtures=given.fixtures,
    )


def _program_name() -> str:
    name = Path(sys.argv[0]).name
    return name if name == "stripe-sandbox" else "python -m sandbox"


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return number


def _host(text: str) -> str:
    if not re.fullmatch(r"[\w.-]+", text, re.ASCII):
        raise argparse.ArgumentTypeError("must be the name of a host, without a port")
    return text.lower()


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
    command()
