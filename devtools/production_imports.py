"""Import every module of the installed apps, run by the Python of a production environment.

`make production-imports` makes that environment from requirements/prod.txt alone. A module that
imports a package of the developers' set fails here, and not on a server.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from pathlib import Path

import django
from django.apps import AppConfig, apps

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
    django.setup()
    failures = []
    modules = [name for config in apps.get_app_configs() for name in modules_of(config)]
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            failures.append(f"{name}: {error}")
    print("\n".join(failures) or f"{len(modules)} modules can be imported.")
    return bool(failures)


def modules_of(config: AppConfig) -> list[str]:
    """Every module of an app of ours but its tests; nothing of a library's app."""
    if Path(config.path).parent != ROOT:
        return []
    return [config.name, *_below(Path(config.path), config.name)]


def _below(folder: Path, package: str) -> list[str]:
    found = []
    for module in pkgutil.iter_modules([str(folder)]):
        name = f"{package}.{module.name}"
        if module.name != "tests":
            found += [name, *(_below(folder / module.name, name) if module.ispkg else [])]
    return found


if __name__ == "__main__":
    sys.exit(main())
