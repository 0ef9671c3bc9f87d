"""`manage.py setup_stripe` against the local Stripe."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from typing import Any

import pytest
import stripe
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from billing.events.handlers import SUBSCRIPTION
from devtools.service import ROOT
from devtools.settings_for_tests import SETTINGS
from sandbox.testing import RunningSandbox

pytestmark = [pytest.mark.http]

URL = "https://pay.example.com"
WEBHOOK = f"{URL}/api/webhooks/stripe"


def setup_stripe(*arguments: str) -> str:
    out = StringIO()
    call_command("setup_stripe", *arguments, stdout=out)
    return out.getvalue()


def check(*arguments: str) -> list[str]:
    """The problems that --check prints."""
    out = StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("setup_stripe", "--check", *arguments, stdout=out)
    assert refused.value.returncode == 1
    return out.getvalue().splitlines()[1:]


def account(sandbox: RunningSandbox) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_of_the_tests", base_addresses={"api": sandbox.url})


def endpoints(sandbox: RunningSandbox) -> list[Any]:
    found = account(sandbox).v1.webhook_endpoints.list().data
    return [endpoint for endpoint in found if endpoint.url == WEBHOOK]


@pytest.fixture
def nothing_set(settings: Settings) -> Settings:
    """The settings of somebody who has only the secret key."""
    settings.STRIPE_WEBHOOK_SECRETS = [settings.STRIPE_UNSET["STRIPE_WEBHOOK_SECRET"]]
    settings.STRIPE_PRICES = {"premium": settings.STRIPE_UNSET["STRIPE_PRODUCT_PRICE_ID"]}
    return settings


def test_it_creates_price_and_endpoint_and_prints_the_lines_for_env(
    local_stripe: RunningSandbox, nothing_set: Settings
) -> None:
    lines = setup_stripe(f"--url={URL}", "--amount=2500", "--currency=EUR").splitlines()
    variables = dict(line.split("=", 1) for line in lines if line.startswith("STRIPE_"))
    price = account(local_stripe).v1.prices.retrieve(variables["STRIPE_PRODUCT_PRICE_ID"])
    assert (price.unit_amount, price.currency, price.type) == (2500, "eur", "one_time")
    (endpoint,) = endpoints(local_stripe)
    assert sorted(endpoint.enabled_events) == SUBSCRIPTION
    assert endpoint.api_version == stripe.api_version
    assert variables["STRIPE_WEBHOOK_SECRET"].startswith("whsec_")

    nothing_set.STRIPE_PRICES = {"premium": price.id}
    nothing_set.STRIPE_WEBHOOK_SECRETS = [variables["STRIPE_WEBHOOK_SECRET"]]
    assert "Nothing to change" in setup_stripe(f"--url={URL}")
    assert endpoints(local_stripe) == [endpoint]


def test_a_second_run_without_the_variables_finds_the_price_again(
    local_stripe: RunningSandbox, nothing_set: Settings
) -> None:
    first = setup_stripe(f"--url={URL}", "--amount=2500")
    second = setup_stripe(f"--url={URL}")
    (line,) = [line for line in first.splitlines() if line.startswith("STRIPE_PRODUCT")]
    assert line in second
    assert len(endpoints(local_stripe)) == 1


def test_without_a_price_it_asks_for_the_amount(
    local_stripe: RunningSandbox, nothing_set: Settings
) -> None:
    with pytest.raises(CommandError, match="--amount"):
        setup_stripe(f"--url={URL}")


def test_it_corrects_the_events_of_an_endpoint(local_stripe: RunningSandbox) -> None:
    made = account(local_stripe).v1.webhook_endpoints.create(
        {
            "url": WEBHOOK,
            "enabled_events": ["charge.refunded", "customer.created"],
            "api_version": stripe.api_version,  # type: ignore[typeddict-item]
        }
    )
    assert "Nothing to change" in setup_stripe(f"--url={URL}")
    (endpoint,) = endpoints(local_stripe)
    assert endpoint.id == made.id
    assert sorted(endpoint.enabled_events) == SUBSCRIPTION


def test_an_endpoint_of_another_version_gets_a_successor_and_both_secrets_stay(
    local_stripe: RunningSandbox,
) -> None:
    account(local_stripe).v1.webhook_endpoints.create(
        {"url": WEBHOOK, "enabled_events": ["*"]}  # the account's default version
    )
    (line,) = [
        line
        for line in setup_stripe(f"--url={URL}").splitlines()
        if line.startswith("STRIPE_WEBHOOK_SECRET=")
    ]
    assert line.endswith(f",{SETTINGS['STRIPE_WEBHOOK_SECRET']}")
    assert len(endpoints(local_stripe)) == 2


@pytest.mark.django_db
def test_check_reports_what_is_wrong_and_changes_nothing(
    local_stripe: RunningSandbox, settings: Settings, live_server: LiveServer
) -> None:
    client = account(local_stripe)
    monthly = client.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 1,
            "recurring": {"interval": "month"},
            "product_data": {"name": "x"},
        }
    )
    settings.STRIPE_PRICES = {"premium": "price_of_live_mode", "pro": monthly.id}
    client.v1.webhook_endpoints.create(
        {"url": f"{live_server.url}/api/webhooks/stripe", "enabled_events": ["charge.refunded"]}
    )
    found = check(f"--url={live_server.url}")
    assert found[0] == (
        "Tier premium: test mode has no price price_of_live_mode. Is it of the other mode?"
    )
    assert found[1] == f"Tier pro: the price {monthly.id} is recurring. Use a one-time price."
    assert found[2].startswith("The webhook endpoint lacks charge.dispute.closed, ")
    assert "API version" in found[3]
    assert len(found) == 4  # it is reachable
    assert found == check(f"--url={live_server.url}")


def test_check_reports_an_unreachable_and_a_foreign_url(
    local_stripe: RunningSandbox,
) -> None:
    unreachable = check("--url=http://127.0.0.1:9")
    assert "http://127.0.0.1:9/api/webhooks/stripe can't be reached from here" in unreachable[-1]
    foreign = check(f"--url={local_stripe.url}")
    assert "and not as payflow does" in foreign[-1]


@pytest.mark.django_db
def test_check_is_content_after_a_set_up(
    local_stripe: RunningSandbox, nothing_set: Settings, live_server: LiveServer
) -> None:
    lines = setup_stripe(f"--url={live_server.url}", "--amount=100").splitlines()
    variables = dict(line.split("=", 1) for line in lines if line.startswith("STRIPE_"))
    nothing_set.STRIPE_PRICES = {"premium": variables["STRIPE_PRODUCT_PRICE_ID"]}
    nothing_set.STRIPE_WEBHOOK_SECRETS = [variables["STRIPE_WEBHOOK_SECRET"]]
    assert "All is right." in setup_stripe("--check", f"--url={live_server.url}")


def test_it_starts_without_the_variables_that_it_finds_out(local_stripe: RunningSandbox) -> None:
    environment = {
        **SETTINGS,
        "PATH": os.environ["PATH"],
        "STRIPE_API_BASE": local_stripe.url,
        "STRIPE_WEBHOOK_SECRET": "",
        "STRIPE_PRODUCT_PRICE_ID": "",
        "STRIPE_PRICES": "",
    }
    done = subprocess.run(  # noqa: S603 - our own code, in our own Python
        [sys.executable, "manage.py", "setup_stripe", "--amount=100", f"--url={URL}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert "STRIPE_WEBHOOK_SECRET=whsec_" in done.stdout
