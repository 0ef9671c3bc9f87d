"""Collects a page's console errors."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import ConsoleMessage, Error, Page, Response

FAILING = ("error", "warning")


class ConsoleErrors:
    """Errors of scripts and messages of the console, violations of the CSP among them.

    The status of a page that was asked for is not among them: a test says itself what it expects.
    """

    def __init__(self, page: Page) -> None:
        self._messages: list[ConsoleMessage] = []
        self._errors: list[Error] = []
        self._visited: set[str] = set()
        page.on("console", self._drain)
        page.on("pageerror", self._note)
        page.on("response", self._visit)

    def __iter__(self) -> Iterator[str]:
        yield from (str(error) for error in self._errors)
        yield from (
            f"{message.type}: {message.text} ({message.location['url']})"
            for message in self._messages
            if message.type in FAILING and not self._is_own_status(message)
        )

    def _drain(self, message: ConsoleMessage) -> None:
        self._messages.append(message)

    def _note(self, error: Error) -> None:
        self._errors.append(error)

    def _visit(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self._visited.add(response.url)

    def _is_own_status(self, message: ConsoleMessage) -> bool:
        failed = message.text.startswith("Failed to load resource: the server responded")
        return failed and message.location["url"] in self._visited
