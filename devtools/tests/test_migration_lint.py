"""`make migrations` refuses what the code before a migration could not run with."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from devtools import migration_lint

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

MIGRATION = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("conversations", "0001_initial")]
    operations = [{operation}]
"""
INITIAL = """
from importlib import import_module

Migration = import_module("conversations.migrations.0001_initial").Migration
"""
numbers = itertools.count()


@pytest.fixture
def later_migration(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """The file of a second migration of conversations, which a test writes."""
    name = f"later_migrations_{next(numbers)}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "0001_initial.py").write_text(INITIAL)
    settings.MIGRATION_MODULES = {"conversations": name}
    sys.path.insert(0, str(tmp_path))
    yield folder / "0002_later.py"
    sys.path.remove(str(tmp_path))
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


def test_our_migrations_are_accepted() -> None:
    linter = migration_lint.lint()
    assert linter.nb_total > 5
    assert not linter.has_errors


@pytest.mark.parametrize(
    ("operation", "complaint"),
    [
        (
            'migrations.AddField("conversation", "colour", models.CharField(max_length=9))',
            "NOT NULL constraint on columns",
        ),
        ('migrations.RenameField("conversation", "title", "name")', "RENAMING columns"),
        ('migrations.RemoveField("conversation", "title")', "DROPPING columns"),
        ('migrations.AlterModelTable("conversation", "talks")', "RENAMING tables"),
        (
            'migrations.AlterField("conversation", "title", models.CharField(max_length=9))',
            "ALTERING columns",
        ),
        (
            'migrations.AddIndex("conversation", models.Index(fields=["title"], name="by_title"))',
            "CREATE INDEX locks table",
        ),
    ],
)
def test_what_the_former_code_cant_run_with_or_locks_a_table_is_refused(
    later_migration: Path, capsys: pytest.CaptureFixture[str], operation: str, complaint: str
) -> None:
    later_migration.write_text(MIGRATION.format(operation=operation, atomic=True))
    assert migration_lint.lint().has_errors
    assert complaint in capsys.readouterr().out


@pytest.mark.parametrize(
    "operation",
    [
        'migrations.AddField("conversation", "seen_at", models.DateTimeField(null=True))',
        'migrations.AddField("conversation", "seen_at", models.DateTimeField(db_default=Now()))',
        'AddIndexConcurrently("conversation", models.Index(fields=["title"], name="by_title"))',
    ],
)
def test_what_the_former_code_does_not_notice_is_accepted(
    later_migration: Path, operation: str
) -> None:
    later_migration.write_text(MIGRATION.format(operation=operation, atomic=False))
    linter = migration_lint.lint()
    assert not linter.has_errors
