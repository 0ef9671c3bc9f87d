"""System check before a migration."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

pytestmark = pytest.mark.django_db


def test_a_database_from_before_the_first_release_is_refused() -> None:
    call_command("migrate", verbosity=0, skip_checks=False)
    MigrationRecorder(connection).record_applied("apikeys", "0002_families_and_tiers")
    with pytest.raises(SystemCheckError, match=r"payflow\.E001"):
        call_command("migrate", verbosity=0, skip_checks=False)
