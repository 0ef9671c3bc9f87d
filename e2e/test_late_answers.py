"""Answers that come late or never: every minted key is shown to its owner, none is made twice."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from playwright.sync_api import Error as PlaywrightError

from e2e.conftest import TIMEOUT_MS
from e2e.customer import KEY, Customer
from e2e.stack import Stack
from e2e.test_journey import answer_late, status_with


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def buyer(browser: Browser, stack: Stack, request: pytest.FixtureRequest) -> Iterator[Customer]:
    """Somebody who has just paid, and has no other key."""
    context = browser.new_context(base_url=stack.url, java_script_enabled=request.param)
    context.set_default_timeout(TIMEOUT_MS)
    customer = Customer(context.new_page(), stack)
    customer.sign_in()
    delete_all_keys(customer.page)
    customer.pay_for(f"Late answers {time.monotonic_ns()}")
    yield customer
    context.close()


def delete_all_keys(page: Page) -> None:
    page.goto("/keys")
    while (link := page.get_by_role("link", name="Delete key")).count():
        link.first.click()
        page.get_by_role("button", name="Delete key").click()
        expect(page).to_have_url(re.compile("/keys$"))


def lose_the_answer(route: Route) -> None:
    """Let the request reach the server, and nothing come back."""
    route.fetch()
    route.abort()


def shown_key(page: Page) -> str:
    key = page.get_by_label("Key", exact=True)
    expect(key).to_have_text(KEY)
    return key.inner_text()


def open_reveal(page: Page) -> None:
    page.goto("/keys")


def open_create(page: Page) -> None:
    page.goto("/keys")
    page.get_by_label("Name", exact=True).fill("laptop")


def open_rotate(page: Page) -> None:
    """Reveal the paid key first."""
    page.goto("/keys")
    reveal = page.get_by_role("button", name="Reveal key")
    if reveal.count():
        reveal.click()
        shown_key(page)
    page.goto("/keys")
    page.get_by_role("link", name="Replace key").first.click()
    page.get_by_label("The old key stops working").select_option("0")


# The form, the name of its button, its address, and how many keys work afterwards.
FORMS: dict[str, tuple[Callable[[Page], None], str, str, int]] = {
    "reveal": (open_reveal, "Reveal key", "**/reveal", 1),
    "create": (open_create, "Create key", "**/create", 2),
    "rotate": (open_rotate, "Replace key", "**/rotate", 1),
}
forms = pytest.mark.parametrize("form", FORMS)


def works_alone(customer: Customer, key: str, form: str, stack: Stack) -> None:
    """Assert that the key works, is listed, and that no other was made."""
    assert status_with(key, stack) == 200
    customer.page.goto("/keys")
    expect(customer.page.get_by_text(key[:20])).to_be_visible()
    expect(customer.page.get_by_role("link", name="Delete key")).to_have_count(FORMS[form][3])


@forms
def test_a_double_click_with_late_answers_shows_the_one_key(
    buyer: Customer, stack: Stack, form: str
) -> None:
    opens, button, address, _ = FORMS[form]
    opens(buyer.page)
    buyer.page.route(address, answer_late)
    buyer.page.get_by_role("button", name=button).dblclick()
    works_alone(buyer, shown_key(buyer.page), form, stack)


@forms
def test_a_reload_of_the_answer_shows_the_same_key(
    buyer: Customer, stack: Stack, form: str
) -> None:
    opens, button, _, _ = FORMS[form]
    opens(buyer.page)
    buyer.page.get_by_role("button", name=button).click()
    key = shown_key(buyer.page)
    buyer.page.reload()
    assert shown_key(buyer.page) == key
    works_alone(buyer, key, form, stack)


@forms
def test_who_lost_the_answer_goes_back_and_is_shown_the_key(
    buyer: Customer, stack: Stack, form: str
) -> None:
    opens, button, address, _ = FORMS[form]
    opens(buyer.page)
    buyer.page.route(address, lose_the_answer)
    with pytest.raises(PlaywrightError), buyer.page.expect_navigation():
        buyer.page.get_by_role("button", name=button).click()
    buyer.page.unroute(address)
    buyer.page.goto("/keys")
    buyer.page.get_by_role("button", name=re.compile("^Show key .* again")).first.click()
    works_alone(buyer, shown_key(buyer.page), form, stack)


@forms
def test_who_goes_back_and_sends_again_has_no_second_key(
    buyer: Customer, stack: Stack, form: str
) -> None:
    opens, button, _, _ = FORMS[form]
    opens(buyer.page)
    buyer.page.get_by_role("button", name=button).click()
    key = shown_key(buyer.page)
    buyer.page.go_back()
    again = buyer.page.get_by_role("button", name=re.compile("^Show key .* again"))
    if again.count():
        again.first.click()
        assert shown_key(buyer.page) == key
    works_alone(buyer, key, form, stack)


@forms
def test_a_form_sent_after_signing_out_mints_nothing_and_says_what_to_do(
    buyer: Customer, stack: Stack, form: str
) -> None:
    opens, button, _, expected = FORMS[form]
    opens(buyer.page)
    forget_the_session(buyer.page.context)
    buyer.page.get_by_role("button", name=button).click()
    buyer.sign_in()
    if form == "create":
        buyer.sees("Nothing was done yet")
        buyer.page.get_by_label("Name", exact=True).fill("laptop")
    buyer.page.get_by_role("button", name=button).click()
    if form == "rotate":
        expected += 1  # a day's grace is the default of the page that sign-in leads to
    key = shown_key(buyer.page)
    assert status_with(key, stack) == 200
    buyer.page.goto("/keys")
    expect(buyer.page.get_by_role("link", name="Delete key")).to_have_count(expected)


def forget_the_session(context: BrowserContext) -> None:
    context.clear_cookies(name="sessionid")


@pytest.mark.parametrize("action", ["delete", "rename", "pay"])
def test_a_double_click_on_another_button_does_it_once(
    buyer: Customer, stack: Stack, action: str
) -> None:
    page = buyer.page
    page.route(f"**/{action}", answer_late)
    if action == "pay":
        title = f"An impatient payment {secrets.token_hex(4)}"
        buyer.start_conversation(title)
        page.get_by_role("button", name=f"Pay for {title}").dblclick()
        expect(page.get_by_role("heading", name="Checkout")).to_be_visible()
        return
    page.goto("/keys")
    page.get_by_role("link", name=f"{action.title()} key").click()
    if action == "rename":
        page.get_by_label("Name").fill("office")
    page.get_by_role("button", name=action.title()).dblclick()
    if action == "rename":
        expect(page.get_by_role("heading", name="office")).to_be_visible()
    else:
        expect(page.get_by_text("You have no keys now.")).to_be_visible()
