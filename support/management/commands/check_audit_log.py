"""`manage.py check_audit_log`: whether the audit log is as the application wrote it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from support import audit_log
from support.models import AuditDigest, SupportAction


class Command(BaseCommand):
    help = (
        "Compares every action of the audit log with the chain of digests. Exit status 1 if a row "
        "was changed, added or removed by something else than payflow, which is named."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--expect",
            action="append",
            default=[],
            metavar="POSITION:DIGEST",
            help="a digest from the application's log, which the chain must have; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            last = audit_log.check()
        except audit_log.Broken as reason:
            raise CommandError(str(reason), returncode=1) from None
        for expected in options["expect"]:
            self._check_expected(expected)
        actions = f"{SupportAction.objects.count():,} actions are as they were written"
        self.stdout.write(f"{actions}; the last digest is {last}." if last else f"{actions}.")

    def _check_expected(self, expected: str) -> None:
        position, _, digest = expected.partition(":")
        if not position.isdecimal():
            raise CommandError("--expect needs POSITION:DIGEST")
        if not AuditDigest.objects.filter(pk=int(position), digest=digest).exists():
            raise CommandError(f"digest {position} is not the expected one", returncode=1)
