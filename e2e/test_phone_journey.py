"""The way of a customer on a phone, without scripts, in the dark, in German: screenshots."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from e2e.conftest import TIMEOUT_MS
from e2e.customer import DECLINED_CARD, KEY, SCREENSHOTS
from e2e.stack import Stack
from e2e.test_journey import status_with
from e2e.test_pages import fits

THREE_D_SECURE_CARD = "4000 0025 0000 3155"
WIDTHS = (390, 320)


@pytest.fixture
def phone(browser: Browser, stack: Stack) -> Iterator[Page]:
    context = browser.new_context(
        base_url=stack.url,
        viewport={"width": WIDTHS[0], "height": 844},
        is_mobile=True,
        has_touch=True,
        locale="de-DE",
        color_scheme="dark",
        java_script_enabled=False,
    )
    context.set_default_timeout(TIMEOUT_MS)
    yield context.new_page()
    context.close()


def shoot(page: Page, name: str) -> None:
    """A screenshot in the folder `journey`, with keys masked; the page fits at every width."""
    for width in WIDTHS[::-1]:
        page.set_viewport_size({"width": width, "height": 844})
        fits(page)
    page.screenshot(
        path=SCREENSHOTS / "journey" / f"{name}.png",
        full_page=True,
        mask=[page.locator("output, pre")],
        mask_color="#888888",
    )


def pay_with(page: Page, card: str) -> None:
    page.get_by_label("Kartennummer").fill(card)
    page.get_by_label("Gültig bis").fill("12/34")
    page.get_by_label("Prüfziffer").fill("123")
    page.get_by_label("Name", exact=True).fill("Demo")
    page.get_by_role("button", name="Zahlen").click()


def refund(stack: Stack, session_id: str) -> None:
    """Refund the session's payment, as in Stripe's dashboard."""
    headers = {"Authorization": f"Bearer {os.environ['STRIPE_SECRET_KEY']}"}
    session = requests.get(
        f"{stack.stripe}/v1/checkout/sessions/{session_id}", headers=headers, timeout=10
    ).json()
    requests.post(
        f"{stack.stripe}/v1/refunds",
        {"payment_intent": session["payment_intent"]},
        headers=headers,
        timeout=10,
    ).raise_for_status()


def reload_until(page: Page, text: str, *, exact: bool = False) -> None:
    """As a person does who waits for an event to arrive."""
    found = page.get_by_text(text, exact=exact).first
    for _ in range(60):
        if found.is_visible():
            return
        page.wait_for_timeout(500)
        page.reload()
    expect(found).to_be_visible()


def make_an_account(page: Page, stack: Stack) -> None:
    """Sign up, follow the link of the mail, sign in."""
    page.goto("/")
    expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    shoot(page, "01-sign-in")
    page.get_by_role("link", name="Konto anlegen").click()
    email, password = f"{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(12)
    page.get_by_label("E-Mail").fill(email)
    page.get_by_label("Passwort").fill(password)
    shoot(page, "01a-sign-up")
    page.get_by_role("button", name="Konto anlegen").click()
    expect(page.get_by_role("heading", name="Sehen Sie in Ihre E-Mails")).to_be_visible()
    shoot(page, "01b-confirm-sent")
    with stack.sending_mail():
        link = stack.mailed_link(email, "/accounts/confirm/")
    page.goto(link)
    shoot(page, "01c-confirm")
    page.get_by_role("button", name="Diese Adresse bestätigen").click()
    page.goto(link)
    expect(page.get_by_role("heading", name="Dieser Link wurde benutzt")).to_be_visible()
    shoot(page, "01d-link-used")
    page.get_by_role("link", name="Anmelden").click()
    page.get_by_label("E-Mail").fill(email)
    page.get_by_label("Passwort").fill(password)
    page.get_by_role("button", name="Anmelden").click()


@pytest.mark.timeout(300)  # the longest journey; it waits for mail and for events
def test_from_signing_up_to_a_refund(phone: Page, stack: Stack) -> None:  # noqa: PLR0915
    page = phone
    make_an_account(page, stack)
    page.get_by_label("Titel").fill("Gartenplanung für den Sommer")
    page.get_by_role("button", name="Beginnen").click()
    shoot(page, "02-conversations")
    page.get_by_role("link", name="Gartenplanung").first.click()
    expect(page.get_by_text("Sie haben noch nicht bezahlt.")).to_be_visible()
    shoot(page, "03-conversation")

    page.get_by_role("button", name="bezahlen").click()
    pay_with(page, DECLINED_CARD)
    page.goto("/payments/cancel")
    shoot(page, "04-cancelled")
    page.goto("/")
    reload_until(page, "abgelehnt")
    page.get_by_role("link", name="Gartenplanung").first.click()
    expect(page.get_by_text("Ihre Bank hat die Karte abgelehnt.")).to_be_visible()
    shoot(page, "05-declined")

    page.get_by_role("button", name="bezahlen").click()
    pay_with(page, THREE_D_SECURE_CARD)
    page.locator("button#complete").click()
    expect(page.get_by_role("heading", name="Vielen Dank")).to_be_visible()
    session_id = page.url.partition("session_id=")[2]
    expect(page.get_by_text("20,00 USD").first).to_be_visible()
    expect(page.get_by_role("link", name="Beleg").first).to_be_visible()
    shoot(page, "06-success")
    page.get_by_role("button", name="Schlüssel aufdecken").click()
    key = page.locator("#api-key")
    expect(key).to_have_text(KEY)
    first = key.inner_text()
    assert status_with(first, stack) == 200
    expect(page.locator("[data-copy]:visible")).to_have_count(0)  # they need a script
    shoot(page, "07-key")

    page.goto("/keys")
    shoot(page, "08-keys")
    page.get_by_role("link", name="Gartenplanung für den Sommer ersetzen").click()
    shoot(page, "09-replace")
    page.locator("#grace").select_option("0")
    page.get_by_role("button", name="Schlüssel ersetzen").click()
    expect(key).to_have_text(KEY)
    second = key.inner_text()
    assert (status_with(first, stack), status_with(second, stack)) == (401, 200)

    page.goto("/keys")
    page.get_by_role("link", name="Gartenplanung für den Sommer löschen").first.click()
    shoot(page, "10-delete")
    page.get_by_role("button", name="Schlüssel löschen").click()
    expect(page).to_have_url(re.compile("/keys$"))
    assert status_with(second, stack) == 401
    shoot(page, "11-no-keys")

    page.goto("/orders")
    expect(page.get_by_text("20,00").first).to_be_visible()
    shoot(page, "12-orders")
    refund(stack, session_id)
    page.get_by_role("main").get_by_role("link", name="Bestellung").first.click()
    reload_until(page, "Erstattet", exact=True)  # the order; the list of refunds may be earlier
    shoot(page, "13-refunded-order")
    page.goto("/")
    reload_until(page, "erstattet")
    shoot(page, "14-conversations")
    page.goto("/account/")
    expect(page.get_by_text("Diese hier")).to_be_visible()
    shoot(page, "16-account")
    page.goto("/nichts")
    shoot(page, "15-not-found")
    page.get_by_role("link", name="Zur Startseite").click()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Conversations")).to_be_visible()
