"""Fixtures of the browser tests: Chromium, the servers, a page without console errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from devtools.browser import MISSING, find_chromium
from devtools.pytest_postgres import DATABASE
from e2e.console_errors import ConsoleErrors
from e2e.customer import Customer
from e2e.stack import Stack, running_stack

# As root Chromium needs --no-sandbox; the others turn its own network requests off.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP: ViewportSize = {"width": 1100, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
TIMEOUT_MS = 15_000


def pytest_itemcollected(item: pytest.Item) -> None:
    """Allow HTTP and 120 seconds for every browser test."""
    item.add_marker(pytest.mark.http)
    item.add_marker(pytest.mark.timeout(120))


def pytest_configure() -> None:
    expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    if pytestconfig.stash[DATABASE].is_foreign:
        pytest.exit("unset DATABASE_URL: the browser tests write into a database of their own", 2)
    with running_stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.exit(MISSING, 2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def viewport() -> ViewportSize:
    return DESKTOP


@pytest.fixture
def context(browser: Browser, stack: Stack, viewport: ViewportSize) -> Iterator[BrowserContext]:
    phone = viewport == PHONE
    context = browser.new_context(
        base_url=stack.url, viewport=viewport, is_mobile=phone, has_touch=phone
    )
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its test on errors in the console: of a script, the CSP, or a 404."""
    page = context.new_page()
    console_errors = ConsoleErrors(page)
    yield page
    assert list(console_errors) == []


@pytest.fixture
def customer(page: Page, stack: Stack) -> Customer:
    """The demo user, not signed in yet."""
    return Customer(page, stack)
