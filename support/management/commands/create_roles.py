"""`manage.py create_roles`: the groups auditor, support and finance, with their permissions."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from support import roles


class Command(BaseCommand):
    help = "Creates or updates the staff roles. Run it after every migrate; it is safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            groups = roles.create_roles()
        except LookupError as error:
            raise CommandError(str(error)) from None
        for name, group in groups.items():
            self.stdout.write(f"{name}: {group.permissions.count()} permissions")
