"""Looks for migrations that the code before them can't run with, or that lock a table for long.

    .venv/bin/python -m devtools.migration_lint

`make migrations` runs it. PostgreSQL's statements are read, which needs a server: a private one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django
from django.apps import apps
from django_migration_linter import MigrationLinter

from devtools.postgres import Cluster
from devtools.settings_for_tests import SETTINGS

ROOT = Path(__file__).resolve().parents[1]


def lint() -> MigrationLinter:
    """Print what is wrong with our apps' migrations. Warnings, as of a lock, count as errors."""
    ours = [each.label for each in apps.get_app_configs() if Path(each.path).parent == ROOT]
    linter = MigrationLinter(
        include_apps=ours,
        ignore_initial_migrations=True,  # no former code knows their tables
        all_warnings_as_errors=True,
        quiet=["ok", "ignore"],
    )
    linter.lint_all_migrations()
    return linter


def main() -> int:
    with Cluster() as cluster:
        os.environ.update({**SETTINGS, "DATABASE_URL": cluster.url()})
        os.environ["DJANGO_SETTINGS_MODULE"] = "payflow.settings"
        django.setup()
        return 1 if lint().has_errors else 0


if __name__ == "__main__":
    sys.exit(main())
