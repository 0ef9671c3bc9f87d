"""From a payment to a working key, in a real browser, over real HTTP, with signed webhooks."""

from __future__ import annotations

import time

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Route, expect

from e2e.conftest import TIMEOUT_MS
from e2e.customer import DECLINED_CARD, GOOD_CARD, KEY, Customer
from e2e.stack import Stack


def status_with(key: str, stack: Stack) -> int:
    """What the API answers to a holder of this key."""
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{stack.url}/api/conversations", headers=headers, timeout=10).status_code


def test_a_payment_ends_in_a_key_that_works_and_is_shown_once(
    customer: Customer, stack: Stack
) -> None:
    page = customer.page
    page.goto("/")
    customer.shoot("1-sign-in")
    customer.sign_in()
    customer.start_conversation("Garden plans")
    customer.shoot("2-conversations")
    customer.go_to_checkout("Garden plans")
    customer.shoot("3-checkout")
    customer.enter_card(GOOD_CARD)
    customer.expect_success()
    customer.shoot("4-success")
    success_page = page.url

    key = customer.reveal_key()
    customer.shoot("5-key")
    assert status_with(key, stack) == 200

    page.reload()  # sends the same form again: within a minute it shows the same key
    expect(page.get_by_label("Key", exact=True)).to_have_text(key)

    page.goto(success_page)
    customer.sees("shown before and cannot be shown again")
    assert not KEY.search(page.content())
    customer.shoot("6-shown-before")
    page.goto("/keys")
    expect(page.get_by_text(key[:20])).to_be_visible()
    assert not KEY.search(page.content())
    customer.shoot("7-keys")

    page.get_by_role("link", name="Delete key Garden plans").click()
    page.get_by_role("button", name="Delete key").click()
    expect(page.get_by_text(key[:20])).to_have_count(0)
    assert status_with(key, stack) == 401


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_double_click_on_reveal_with_late_answers_shows_the_key(
    browser: Browser, stack: Stack, scripts: bool
) -> None:
    with browser.new_context(base_url=stack.url, java_script_enabled=scripts) as context:
        context.set_default_timeout(TIMEOUT_MS)
        customer = Customer(context.new_page(), stack)
        customer.sign_in()
        customer.pay_for(f"Twice clicked, scripts {scripts}")
        customer.page.route("**/reveal", answer_late)
        customer.page.get_by_role("button", name="Reveal key").dblclick()
        key = customer.page.get_by_label("Key", exact=True)
        expect(key).to_have_text(KEY)
        assert status_with(key.inner_text(), stack) == 200


def answer_late(route: Route) -> None:
    """Let the request pass, and its answer wait for half a second."""
    response = route.fetch()
    time.sleep(0.5)
    route.fulfill(response=response)


def test_the_key_can_be_copied_and_the_command_beside_it_works(
    customer: Customer, context: BrowserContext, stack: Stack
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=stack.url)
    customer.sign_in()
    customer.pay_for("Something to copy")
    key = customer.reveal_key()

    customer.page.get_by_role("button", name="Copy key").click()

    expect(customer.page.get_by_role("status").last).not_to_be_empty()
    assert customer.page.evaluate("navigator.clipboard.readText()") == key
    customer.page.get_by_role("button", name="Copy command").click()
    expect(customer.page.get_by_text("Copied.")).to_be_visible()
    command = customer.page.evaluate("navigator.clipboard.readText()")
    assert command.split() == [
        *("curl", "-H", '"Authorization:', "Bearer", f'{key}"', "\\"),
        f"{stack.url}/api/conversations",
    ]


def test_a_declined_card_says_so_on_the_page_and_another_one_pays(customer: Customer) -> None:
    customer.sign_in()
    customer.start_conversation("A second try")
    customer.go_to_checkout("A second try")

    customer.enter_card(DECLINED_CARD)
    expect(customer.page.get_by_role("alert")).to_have_text("Your card was declined.")
    customer.shoot("8-declined")

    customer.enter_card(GOOD_CARD)
    customer.expect_success()


def test_after_leaving_the_payment_page_a_customer_can_pay_again(customer: Customer) -> None:
    customer.sign_in()
    customer.start_conversation("Not yet")
    customer.go_to_checkout("Not yet")

    customer.page.get_by_role("link", name="Back without paying").click()
    customer.sees("Nothing was paid")
    customer.shoot("9-cancelled")

    customer.page.get_by_role("link", name="To the start").click()
    customer.go_to_checkout("Not yet")


def test_a_customer_who_returns_signed_out_signs_in_and_finds_the_key(
    customer: Customer, context: BrowserContext
) -> None:
    customer.sign_in()
    customer.start_conversation("Slow lunch")
    customer.go_to_checkout("Slow lunch")
    context.clear_cookies(domain="127.0.0.1")

    customer.enter_card(GOOD_CARD)
    customer.sign_in()

    customer.expect_success()
    assert KEY.fullmatch(customer.reveal_key())
