"""A site's own name, address and folder (SITE_NAME, SUPPORT_ADDRESS, SITE_DIR)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from django.test import Client
from pytest_django.fixtures import Settings

from testing.factories import UserFactory

ROOT = Path(__file__).resolve().parents[2]
PAGE = """
import django; django.setup()
from django.contrib.auth.models import AnonymousUser
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.translation import gettext
print(render_to_string("base.html", {"user": AnonymousUser()}))
print(render_to_string("registration/login.html", {"user": AnonymousUser()}))
print(finders.find("payflow/site.css"))
print(gettext("Conversations"))
"""


@pytest.mark.django_db
def test_the_name_and_the_address_are_on_pages_and_in_the_admin(settings: Settings) -> None:
    settings.SITE_NAME, settings.SUPPORT_ADDRESS = "Acme <Keys>", "help@acme.example"
    page = Client().get("/accounts/login/").text
    assert "Acme &lt;Keys&gt;" in page
    assert 'href="mailto:help@acme.example"' in page
    assert "payflow<" not in page
    desk = Client()
    desk.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    admin = desk.get("/admin/").text
    assert "Acme &lt;Keys&gt; support" in admin


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    own = {"DEBUG": "on", "DATABASE_URL": "sqlite://:memory:", "ENV_FILE": "", **environment}
    own["DJANGO_SETTINGS_MODULE"] = "payflow.settings"
    return subprocess.run(  # noqa: S603 - our own settings
        [sys.executable, "-c", PAGE],
        cwd=ROOT,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )


def test_templates_styles_and_words_come_from_a_folder_of_the_sites_own(tmp_path: Path) -> None:
    templates, static = tmp_path / "templates/registration", tmp_path / "static/payflow"
    texts = tmp_path / "locale/en/LC_MESSAGES"
    for folder in (templates, static, texts):
        folder.mkdir(parents=True)
    (templates / "login.html").write_text("An entrance of {% site_name %}'s own.")
    (static / "site.css").write_text(":root { --link: #a00 }")
    catalog = Catalog(locale="en")
    catalog.add("Conversations", "Projects")
    with (texts / "django.mo").open("wb") as file:
        write_mo(file, catalog)
    done = run(SITE_DIR=str(tmp_path), SITE_NAME="Acme")
    assert done.returncode == 0, done.stderr
    assert "An entrance of Acme's own." in done.stdout
    assert str(static / "site.css") in done.stdout
    assert done.stdout.rstrip().endswith("Projects")


@pytest.mark.parametrize("folder", ["relative", "/no/such/folder"])
def test_a_folder_that_is_none_is_refused(folder: str) -> None:
    done = run(SITE_DIR=folder)
    assert done.returncode == 3
    assert done.stderr == "payflow: SITE_DIR must be the absolute path of a folder.\n"
