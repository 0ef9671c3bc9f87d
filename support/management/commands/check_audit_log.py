"""`manage.py check_audit_log`: whether the audit log is as the application wrote it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from prometheus_client import Gauge

from support import audit_log
from support.models import AuditDigest, SupportAction

# With PROMETHEUS_MULTIPROC_DIR, the last run's outlive the command.
_IS_BROKEN = Gauge(
    "payflow_audit_log_broken",
    "1 if the last check_audit_log found the audit log changed, otherwise 0.",
    multiprocess_mode="mostrecent",
)
_CHECKED = Gauge(
    "payflow_audit_log_checked_timestamp_seconds",
    "When check_audit_log last ended with a result, in Unix time.",
    multiprocess_mode="mostrecent",
)


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
            for expected in options["expect"]:
                _check_expected(expected)
        except audit_log.Broken as reason:
            _record_check(is_broken=True)
            raise CommandError(str(reason), returncode=1) from None
        _record_check(is_broken=False)
        actions = f"{SupportAction.objects.count():,} actions are as they were written"
        self.stdout.write(f"{actions}; the last digest is {last}." if last else f"{actions}.")


def _record_check(*, is_broken: bool) -> None:
    _IS_BROKEN.set(is_broken)
    _CHECKED.set_to_current_time()


def _check_expected(expected: str) -> None:
    """Raise audit_log.Broken if the chain lacks this digest."""
    position, _, digest = expected.partition(":")
    if not position.isdecimal():
        raise CommandError("--expect needs POSITION:DIGEST")
    if not AuditDigest.objects.filter(pk=int(position), digest=digest).exists():
        raise audit_log.Broken(f"digest {position} is not the expected one")
