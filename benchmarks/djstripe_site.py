"""The least site that dj-stripe's webhook runs in: for benchmarks.webhook alone.

Run as a program it prepares the database; `application` is what granian serves. It lives in an
environment of its own, without anything of payflow.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

import dj_database_url
import django
import stripe
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

KEY = "sk_test_" + "0" * 24  # it checks the shape
ENDPOINT = uuid.UUID("00000000-0000-4000-8000-000000000000")

database = dj_database_url.parse(os.environ["DATABASE_URL"])
database |= {"CONN_MAX_AGE": None}  # as payflow has it
settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="protects-nothing",  # noqa: S106
    ROOT_URLCONF=__name__,
    DATABASES={"default": database},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "djstripe"],
    USE_TZ=True,
    STRIPE_LIVE_MODE=False,
    STRIPE_TEST_SECRET_KEY=KEY,
    DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
    LOGGING_CONFIG=None,
)
django.setup()


def from_stripe(**asked: Any) -> stripe.checkout.Session:
    """dj-stripe retrieves each session from Stripe; here the answer needs no network."""
    session = {"id": asked["id"], "object": "checkout.session", "livemode": False}
    session |= {"mode": "payment", "status": "complete", "payment_status": "paid"}
    urls = {"success_url": "https://example.com/", "cancel_url": "https://example.com/"}
    return stripe.checkout.Session.construct_from({**session, **urls}, KEY)


stripe.checkout.Session.retrieve = from_stripe  # type: ignore[method-assign, assignment]  # a stand-in


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [path("", home), path("stripe/", include("djstripe.urls", namespace="djstripe"))]


def prepare() -> None:
    """Create the objects that dj-stripe would otherwise retrieve from Stripe."""
    call_command("migrate", verbosity=0)
    model = apps.get_app_config("djstripe").get_model
    account = model("Account")._default_manager.create(id="acct_bench", livemode=False)
    model("APIKey")._default_manager.create(
        id="key_bench", secret=KEY, type="secret", livemode=False, djstripe_owner_account=account
    )
    model("WebhookEndpoint")._default_manager.create(
        id="we_bench",
        djstripe_uuid=ENDPOINT,
        djstripe_owner_account=account,
        djstripe_validation_method="verify_signature",
        secret=os.environ["STRIPE_WEBHOOK_SECRET"],
        url="http://127.0.0.1/",
        enabled_events=["*"],
        status="enabled",
        api_version="",
        livemode=False,
    )
    connection.close()


if __name__ == "__main__":
    prepare()
else:
    application = get_wsgi_application()
