"""A member of staff's steps in the admin; clicks are counted."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from e2e.customer import SCREENSHOTS
from e2e.stack import Stack

REASON = "The customer asked us on the phone."


class SupportAgent:
    """A signed-in member of staff; counting begins in the admin."""

    def __init__(self, page: Page, stack: Stack) -> None:
        self.page = page
        self.stack = stack
        self.clicks = 0

    def open_admin(self) -> None:
        self.page.goto("/admin/")

    def click(self, target: Locator) -> None:
        self.clicks += 1
        target.click()

    def find(self, text: str) -> None:
        """Search by the box in the header."""
        self.page.locator("#finder").fill(text)
        self.click(self.page.get_by_role("button", name="Find"))

    def open(self, name: str | re.Pattern[str]) -> None:
        self.click(self.page.locator("#content").get_by_role("link", name=name).first)

    def do(self, label: str, *, amount: str = "") -> None:
        """Open an action, give its reason, and confirm it."""
        self.open(f"{label}…")
        if amount:
            self.page.get_by_label("Amount").fill(amount)
        self.page.get_by_label("Reason").fill(REASON)
        self.click(self.page.get_by_role("button", name=label, exact=True))
        expect(self.page.locator(".messagelist .success")).to_be_visible()

    def sees(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.locator("#content").get_by_text(text).first).to_be_visible()

    def sees_after_a_while(self, text: str) -> None:
        """Reload until the text appears, as after a webhook."""
        found = self.page.locator("#content").get_by_text(text, exact=True).first
        for _ in range(30):
            if found.is_visible():
                return
            self.page.wait_for_timeout(500)
            self.page.reload()
        expect(found).to_be_visible()

    def shoot(self, name: str) -> None:
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
