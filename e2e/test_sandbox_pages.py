"""The local Stripe's own pages in a browser: pay, be declined, 3D Secure, pay later, control."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from e2e.conftest import PHONE
from e2e.test_pages import fits, has_no_barriers
from sandbox.testing import RunningSandbox, running
from sandbox.tests.receiver import Receiver, receiving
from sandbox.tests.shop import Shop


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def sandbox(receiver: Receiver) -> Iterator[RunningSandbox]:
    with running(webhook=receiver.url) as sandbox:
        yield sandbox


@pytest.fixture
def shop(sandbox: RunningSandbox) -> Shop:
    return Shop(sandbox, stripe.StripeClient("sk_test_x", base_addresses={"api": sandbox.url}))


def offer(shop: Shop, **params: Any) -> str:
    """A new session's page; paying leads to the control page, which is there to be seen."""
    url = shop.sandbox.url
    session = shop.session(
        success_url=f"{url}/sandbox?paid={{CHECKOUT_SESSION_ID}}", cancel_url=url, **params
    )
    return str(session.url)


def fill_in(page: Page, card: str) -> None:
    """Fill in the card form."""
    page.get_by_label("Email").fill("me@example.com")
    page.get_by_label("Card number").fill(card)
    page.get_by_label("Expiration").fill("12 / 34")
    page.get_by_label("Security code").fill("123")
    page.get_by_label("Name", exact=True).fill("Me")


def is_paid(page: Page) -> None:
    expect(page).to_have_url(re.compile(r"/sandbox\?paid=cs_test_"))


def test_paying_with_the_keyboard_alone(page: Page, shop: Shop, receiver: Receiver) -> None:
    page.goto(offer(shop))
    page.get_by_label("Email").focus()
    card = ("4242424242424242", "1234", "123", "Me")
    kept = ("", "")  # country, postal code
    for text in ("me@example.com", "", *card, *kept):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pay $5.00")).to_be_focused()
    page.keyboard.press("Enter")

    is_paid(page)
    assert "checkout.session.completed" in receiver.types()


def test_a_declined_card_is_told_at_once_and_another_one_pays(page: Page, shop: Shop) -> None:
    page.goto(offer(shop))
    fill_in(page, "4000 0000 0000 0002")
    page.get_by_role("button", name="Pay").click()

    expect(page.get_by_role("alert")).to_have_text("Your card was declined.")
    expect(page.get_by_label("Card number")).to_be_focused()
    expect(page.get_by_label("Security code")).to_be_empty()

    fill_in(page, "4242 4242 4242 4242")
    page.get_by_role("button", name="Pay").click()
    is_paid(page)


@pytest.mark.parametrize("passes", [True, False])
def test_3d_secure(page: Page, shop: Shop, passes: bool) -> None:
    page.goto(offer(shop))
    fill_in(page, "4000 0025 0000 3155")
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", name="3D Secure")).to_be_visible()

    page.get_by_role("button", name="Complete" if passes else "Fail").click()

    if passes:
        is_paid(page)
    else:
        expect(page.get_by_role("alert")).to_contain_text("unable to authenticate")


def test_the_delayed_method_is_confirmed_later(page: Page, shop: Shop, receiver: Receiver) -> None:
    page.goto(offer(shop))
    page.get_by_label("Bank debit").check()
    expect(page.get_by_label("Card number")).to_be_hidden()
    page.get_by_label("Email").fill("me@example.com")
    page.get_by_label("Account number").fill("000123456789")
    page.get_by_label("Name", exact=True).fill("Me")
    page.get_by_role("button", name="Pay").click()

    is_paid(page)
    told = receiver.wait_for("checkout.session.completed")["data"]["object"]
    assert told["payment_status"] == "unpaid"
    receiver.wait_for("checkout.session.async_payment_succeeded")


def test_there_is_a_way_back_without_paying(page: Page, shop: Shop) -> None:
    page.goto(offer(shop))
    page.get_by_role("link", name="Back without paying").click()

    expect(page.get_by_role("heading", name="Sandbox control")).to_be_visible()
    assert shop.sandbox.events("payment_intent.created") == []


def test_it_works_without_javascript(browser: Browser, shop: Shop) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(offer(shop))
    fill_in(page, "4242 4242 4242 4242")
    page.get_by_role("button", name="Pay").click()

    is_paid(page)
    context.close()


def visit_all(page: Page, shop: Shop) -> Iterator[None]:
    """Every page in turn, each in the state that shows the most."""
    page.goto(offer(shop))
    page.get_by_text("Test cards", exact=True).click()
    yield
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield
    fill_in(page, "4000 0025 0000 3155")
    page.get_by_role("button", name="Pay").click()
    yield
    page.get_by_role("button", name="Complete").click()
    is_paid(page)
    yield
    page.get_by_role("link", name="checkout.session.completed").first.click()
    expect(page.get_by_role("heading", name="Payload")).to_be_visible()
    yield


def test_every_page_passes_axe(page: Page, shop: Shop) -> None:
    for _ in visit_all(page, shop):
        has_no_barriers(page)


@pytest.mark.parametrize("viewport", [PHONE], ids=["phone"])
def test_every_page_fits_on_a_phone(page: Page, shop: Shop, viewport: ViewportSize) -> None:
    for _ in visit_all(page, shop):
        fits(page)


def test_the_control_page_refunds(page: Page, shop: Shop, receiver: Receiver) -> None:
    shop.paid()
    page.goto(shop.sandbox.url)
    page.get_by_label("Amount to refund").fill("2.00")
    page.get_by_role("button", name="Refund").click()

    expect(page.get_by_role("status")).to_contain_text("is succeeded")
    expect(page.get_by_text("paid, $2.00 refunded")).to_be_visible()
    assert receiver.wait_for("charge.refunded")["data"]["object"]["amount_refunded"] == 200
