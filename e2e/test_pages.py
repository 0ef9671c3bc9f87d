"""Every page fits on a phone, passes axe, and loads nothing from other hosts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from e2e.conftest import DESKTOP, PHONE
from e2e.customer import DECLINED_CARD, GOOD_CARD, SCREENSHOTS, Customer
from e2e.stack import Stack

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SMALLEST_TARGET = 24  # CSS pixels: WCAG 2.2, 2.5.8

Check = Callable[[Page], None]


def has_no_barriers(page: Page) -> None:
    """Assert that axe finds no violation of WCAG."""
    results = Axe().run(page, options={"runOnly": WCAG})
    assert results.violations_count == 0, f"{page.url}\n{results.generate_report()}"


def fits(page: Page) -> None:
    """Assert that nothing overflows and that touch targets are large enough."""
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= (page.viewport_size or DESKTOP)["width"], f"{page.url} is {width} pixels wide"
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= SMALLEST_TARGET, button.inner_text()


def walk(customer: Customer, title: str, check: Check) -> None:
    """Visit every page from signing in to the list of keys."""
    page = customer.page
    page.goto("/")
    check(page)
    customer.sign_in()
    customer.start_conversation(title)
    check(page)
    customer.go_to_checkout(title)
    check(page)
    customer.enter_card(DECLINED_CARD)
    check(page)
    customer.enter_card(GOOD_CARD)
    customer.expect_success()
    check(page)
    customer.reveal_key()
    check(page)
    page.goto("/keys")
    check(page)
    actions = [link.get_attribute("href") for link in page.locator(".actions a").all()[:3]]
    page.goto("/orders")
    check(page)
    order = page.get_by_role("link", name="Order").first.get_attribute("href")
    page.goto("/")
    conversation = page.get_by_role("link", name=title).get_attribute("href")
    for path in (*actions, order, conversation, "/payments/cancel", "/nowhere"):
        page.goto(str(path))
        check(page)


@pytest.mark.parametrize("viewport", [PHONE], ids=["phone"])
def test_every_page_fits_on_a_phone(customer: Customer, viewport: ViewportSize) -> None:
    walk(customer, "On the train", fits)
    customer.page.goto("/")
    customer.shoot("phone-conversations")
    customer.page.goto("/keys")
    customer.shoot("phone-keys")


def test_every_page_passes_axe(customer: Customer) -> None:
    walk(customer, "For everybody", has_no_barriers)


def test_the_api_documentation_loads_nothing_from_other_hosts(page: Page) -> None:
    page.goto("/api/docs")
    expect(page.get_by_role("link", name="/api/payments/link")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "api-docs.png")


def test_the_api_is_tried_out_from_its_documentation(customer: Customer, stack: Stack) -> None:
    """A payment link of the local Stripe, by the session and CSRF token of the signed-in user."""
    customer.sign_in()
    page = customer.page
    page.emulate_media(color_scheme="dark")
    page.goto("/api/docs")
    expect(page.locator("html")).to_have_class("dark-mode")
    expect(page.get_by_text("From a payment to a working API key.")).to_be_visible()
    started = try_out(customer, "conversations_create", 201)
    assert started["title"] == "Support plan"
    body = json.dumps({"conversationId": started["id"]})
    link = try_out(customer, "payment_link_create", 200, body=body)
    assert stack.stripe in link["url"]
    page.screenshot(path=SCREENSHOTS / "api-docs-tried.png")


def try_out(customer: Customer, operation: str, status: int, body: str | None = None) -> Any:
    """Press Execute in an operation of Swagger UI. Returns the answer."""
    block = customer.page.locator(f"[id$='{operation}']")
    block.locator(".opblock-summary-control").click()
    if body is not None:
        block.locator("textarea.body-param__text").fill(body)
    with customer.page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        block.get_by_role("button", name="Execute").click()
    assert answered.value.status == status, answered.value.text()
    expect(block.locator(".live-responses-table .response-col_status").last).to_contain_text(
        str(status)
    )
    return answered.value.json()
