"""Every page passes axe in light and dark, fits from 320 pixels on, loads from no other host."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from e2e.conftest import DESKTOP, TIMEOUT_MS
from e2e.customer import DECLINED_CARD, GOOD_CARD, SCREENSHOTS, Customer
from e2e.stack import Stack
from payflow.http import problems
from testing import pages
from testing.pages import Visitor

# Thirty pages, each at four widths and with axe twice, on a busy machine.
pytestmark = pytest.mark.timeout(400)

ORDER = re.compile(r"^Order \d+")
WIDTHS = (320, 390, 768, 1280)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Of the rules only contrast depends on the scheme.
Scheme = Literal["light", "dark"]
SCHEMES: list[tuple[Scheme, list[str]]] = [("light", WCAG), ("dark", ["color-contrast"])]
SMALLEST_TARGET = 24  # CSS pixels: WCAG 2.2, 2.5.8


def has_no_barriers(page: Page) -> None:
    """Assert that axe finds no violation of WCAG, in light and in dark."""
    for scheme, rules in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        results = Axe().run(page, options={"runOnly": rules})
        assert results.violations_count == 0, f"{page.url}\n{results.generate_report()}"


def fits(page: Page) -> None:
    """Assert that nothing overflows and that touch targets are large enough."""
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= (page.viewport_size or DESKTOP)["width"], f"{page.url} is {width} pixels wide"
    buttons = page.get_by_role("button").evaluate_all(
        "all => all.filter(each => each.checkVisibility())"
        ".map(each => [each.innerText, each.offsetWidth, each.offsetHeight])"
    )
    for text, *size in buttons:
        assert min(size) >= SMALLEST_TARGET, text


def is_for_everybody(page: Page) -> None:
    """Assert that the page fits at every width and has no barriers."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        fits(page)
    has_no_barriers(page)


def shoot(page: Page, name: str) -> None:
    """Take screenshots of a phone in the dark and of a wide window in the light."""
    looks: list[tuple[int, Scheme]] = [(390, "dark"), (1280, "light")]
    for width, scheme in looks:
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=SCREENSHOTS / "pages" / f"{name}-{width}.png", full_page=True)


def walk(customer: Customer, title: str) -> None:
    """Visit every page from signing in to the list of keys."""
    check = is_for_everybody
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
    order = page.get_by_role("link", name=ORDER).first.get_attribute("href")
    page.goto("/")
    conversation = page.get_by_role("link", name=title).get_attribute("href")
    for path in (*actions, order, conversation, "/payments/cancel", "/nowhere"):
        page.goto(str(path))
        check(page)


def test_the_pages_of_a_payment_are_for_everybody(customer: Customer) -> None:
    walk(customer, "For everybody")


@dataclass(frozen=True)
class Account:
    """Somebody who signed up, and the ids of the pages."""

    email: str
    password: str
    ids: dict[str, Any]


@pytest.fixture(scope="module")
def account(browser: Browser, stack: Stack) -> Iterator[Account]:
    """A confirmed account, and the links of the mails to another one that is not."""
    with browser.new_context(base_url=stack.url) as context:
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        other, email = (f"{secrets.token_hex(6)}@example.com" for _ in range(2))
        password = secrets.token_urlsafe(12)
        for each in (other, email):
            page.goto("/accounts/signup/")
            page.get_by_label("Email").fill(each)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Create an account").click()
            expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
        page.goto("/accounts/password_reset/")
        page.get_by_label("Email").fill(other)
        page.get_by_role("button", name="Send the link").click()
        with stack.sending_mail():
            confirm, reset = "/accounts/confirm/", "/accounts/password_reset/"
            own, confirm, reset = (
                stack.mailed_link(*each)
                for each in ((email, confirm), (other, confirm), (other, reset))
            )
        page.goto(own)
        page.get_by_role("button", name="Confirm this address").click()
        uid, _, key = reset.split("/")[3].partition("-")
        ids = {
            "account_confirm_email": confirm.split("/")[3],
            "uidb36": uid,
            "account_reset_password_from_key": key,
        }
        yield Account(email, password, ids)


def fill_in_sign_in(page: Page, account: Account) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(account.email)
    page.get_by_label("Password").fill(account.password)
    page.get_by_role("button", name="Sign in").click()


def pay(customer: Customer) -> dict[str, Any]:
    """Pay and reveal the key; return the ids of what came of it."""
    title = f"Something to see {secrets.token_hex(4)}"
    customer.sign_in()
    customer.pay_for(title)
    page = customer.page
    session_id = page.url.partition("session_id=")[2]
    customer.reveal_key()
    page.goto("/keys")
    rename = page.get_by_role("link", name=f"Rename key {title}").get_attribute("href")
    order = page.get_by_role("link", name=ORDER).first.get_attribute("href")
    page.goto("/")
    conversation = page.get_by_role("link", name=title).get_attribute("href")
    numbers = [re.findall(r"\d+", str(each))[0] for each in (rename, order, conversation)]
    return {
        **dict(zip(("key_id", "order_id", "conversation_id"), numbers, strict=True)),
        "session_id": session_id,
    }


def add_factor(page: Page, account: Account) -> None:
    fill_in_sign_in(page, account)
    page.goto("/accounts/2fa/totp/activate/")
    page.locator("#id_password").fill(account.password)
    page.get_by_role("button", name="Confirm").click()
    secret = page.locator("#authenticator_secret").input_value()
    if (left := 30 - time.time() % 30) < 15:  # a code must arrive within its half minute
        page.wait_for_timeout(left * 1000)
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    page.locator("#id_code").fill(code)
    page.locator("main button[type=submit]").click()
    expect(page).to_have_url(re.compile("/recovery-codes/"))


@pytest.mark.parametrize("visitor", Visitor, ids=lambda visitor: visitor.name.lower())
def test_every_page_is_for_everybody(
    customer: Customer, account: Account, visitor: Visitor
) -> None:
    page, ids = customer.page, dict(account.ids)
    if visitor is Visitor.CUSTOMER:
        ids |= pay(customer)
    elif visitor is Visitor.WITH_FACTOR:
        add_factor(page, account)
    elif visitor is Visitor.HALF_SIGNED_IN:  # the account has its factor from the test before
        fill_in_sign_in(page, account)
        expect(page).to_have_url(re.compile("/2fa/authenticate/"))
    for name, path in pages.addresses(visitor, ids).items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, name
        is_for_everybody(page)
        shoot(page, name)


def test_every_error_page_is_for_everybody(page: Page) -> None:
    for status in pages.ERRORS:
        body = problems.error_page(status).content
        page.route(f"**/error/{status}", partial(fulfil, status=status, body=body))
        page.goto(f"/error/{status}")
        is_for_everybody(page)
        shoot(page, f"error-{status}")
    style = pages.MAINTENANCE_STYLE
    page.route(f"**/{style.name}", lambda route: route.fulfill(path=style))
    body = pages.MAINTENANCE.read_bytes()
    page.route("**/maintenance", partial(fulfil, status=503, body=body))
    page.goto("/maintenance")
    is_for_everybody(page)
    shoot(page, "maintenance")


def fulfil(route: Route, *, status: int, body: bytes) -> None:
    route.fulfill(status=status, body=body, content_type="text/html; charset=utf-8")


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
