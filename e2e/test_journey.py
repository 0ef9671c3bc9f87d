"""From a payment to a working key, in a real browser, over real HTTP, with signed webhooks."""

from __future__ import annotations

import requests
from playwright.sync_api import BrowserContext, expect

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

    page.reload()  # sends the form again, as a person who confirms the browser's question
    customer.sees("This key was shown before")
    assert not KEY.search(page.content())
    customer.shoot("6-shown-before")

    page.goto(success_page)
    customer.sees("shown before and cannot be shown again")
    page.goto("/keys")
    expect(page.get_by_text(key[:20])).to_be_visible()
    assert not KEY.search(page.content())
    customer.shoot("7-keys")

    page.get_by_role("button", name=f"Delete key {key[:20]}").click()
    expect(page.get_by_text(key[:20])).to_have_count(0)
    assert status_with(key, stack) == 401


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
    command = customer.page.locator("pre").inner_text()
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

    customer.page.get_by_role("link", name="your conversations").click()
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
