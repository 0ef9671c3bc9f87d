"""`manage.py check_invariants`: whether orders, grants, keys, conversations and events agree."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from billing import invariants, metrics


class Command(BaseCommand):
    help = "Check that orders, grants, keys, conversations and settled events agree."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each violation. Exit code 1 if there is any."""
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    # One snapshot for all rules: payments may go on meanwhile.
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    # Tables of a million rows are joined in memory.
                    cursor.execute("SET LOCAL work_mem = '64MB'")
            found = list(invariants.violations())
        metrics.record_check(broken=len({violation.rule for violation in found}))
        for violation in found:
            self.stdout.write(str(violation))
        if found:
            raise CommandError(f"{len(found)} violations", returncode=1)
        self.stdout.write(f"{len(invariants.RULES)} rules hold.")
