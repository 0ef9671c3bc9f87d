"""`manage.py serve`: serve the application in production."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from payflow import server

MAX_PORT = 65_535


class Command(BaseCommand):
    help = (
        "Serves the application in production. SIGTERM lets running requests end and stops; SIGHUP "
        "reloads code and environment without a failed request."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bind",
            metavar="ADDRESS:PORT",
            default=f"0.0.0.0:{settings.PORT}",
            help="where to listen (%(default)s)",
        )
        parser.add_argument(
            "--workers",
            type=int,
            default=settings.WEB_CONCURRENCY,
            metavar="N",
            help="processes (%(default)s)",
        )
        parser.add_argument(
            "--threads",
            type=int,
            default=settings.WEB_THREADS,
            metavar="N",
            help="threads of each process, with a database connection each (%(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        address, port = _parsed(options["bind"])
        os.environ["WEB_THREADS"] = str(options["threads"])  # limits of a worker depend on it
        if options["workers"] < 1 or options["threads"] < 1:
            raise CommandError("--workers and --threads take at least 1")
        try:
            server.serve(
                address,
                port,
                workers=options["workers"],
                threads=options["threads"],
                log_config=settings.LOGGING,
            )
        except OSError as error:
            raise CommandError(
                f"can't listen on {options['bind']}: {os.strerror(error.errno or 0)}"
            ) from None


def _parsed(bind: str) -> tuple[str, int]:
    """The address and the port. Raises CommandError."""
    address, _, port = bind.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise CommandError("--bind takes ADDRESS:PORT, like 127.0.0.1:3000 or [::1]:3000")
    return address.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - behind a proxy
