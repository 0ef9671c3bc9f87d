"""A customer's steps in a browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from devtools.runfile import DIRECTORY
from e2e.stack import Stack

GOOD_CARD = "4242 4242 4242 4242"
DECLINED_CARD = "4000 0000 0000 0002"
SCREENSHOTS = DIRECTORY / "screenshots"
KEY = re.compile(r"sk_[0-9a-f]{64}")


class Customer:
    """Acts on one page; each step waits for its result."""

    def __init__(self, page: Page, stack: Stack) -> None:
        self.page = page
        self._stack = stack
        self.email = stack.email

    def sign_in(self) -> None:
        """Sign in on the current page, or on the first one."""
        if not self.page.url.startswith(self._stack.url):
            self.page.goto("/")
        self.page.get_by_label("Email").fill(self._stack.email)
        self.page.get_by_label("Password").fill(self._stack.password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def start_conversation(self, title: str) -> None:
        self.page.goto("/")
        self.page.get_by_label("Title").fill(title)
        self.page.get_by_role("button", name="Start").click()
        expect(self.page.get_by_role("heading", name=title)).to_be_visible()

    def go_to_checkout(self, title: str) -> None:
        self.page.get_by_role("button", name=f"Pay for {title}").click()
        expect(self.page.get_by_role("heading", name="Checkout")).to_be_visible()

    def enter_card(self, number: str) -> None:
        self.page.get_by_label("Card number").fill(number)
        self.page.get_by_label("Expiration").fill("12/34")
        self.page.get_by_label("Security code").fill("123")
        self.page.get_by_label("Name", exact=True).fill("Demo User")
        self.page.get_by_role("button", name="Pay").click()

    def pay_for(self, title: str) -> None:
        """Start a conversation, pay for it, and wait for the success page."""
        self.start_conversation(title)
        self.go_to_checkout(title)
        self.enter_card(GOOD_CARD)
        self.expect_success()

    def expect_success(self) -> None:
        expect(self.page).to_have_url(re.compile(r"/payments/success\?session_id=cs_test_\w+$"))
        expect(self.page.get_by_role("heading", name="Thank you")).to_be_visible()

    def reveal_key(self, title: str = "") -> str:
        """Reveal the page's only key, or that of the conversation with this title."""
        self.page.get_by_role("button", name=f"Reveal key {title}".strip()).click()
        key = self.page.get_by_label("Key", exact=True)
        expect(key).to_have_text(KEY)
        return key.inner_text()

    def sees(self, text: str) -> None:
        expect(self.page.get_by_text(text)).to_be_visible()

    def shoot(self, name: str) -> None:
        """Take a screenshot of the whole page, with keys masked."""
        self.page.screenshot(
            path=SCREENSHOTS / f"{name}.png",
            full_page=True,
            mask=[self.page.locator("output, pre")],
            mask_color="#888888",
        )
