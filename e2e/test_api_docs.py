"""`/api/docs`: a stranger signs in there and tries the API against the local Stripe."""

from __future__ import annotations

import json
from typing import Any

import requests
from playwright.sync_api import Locator, Page, expect

from e2e.conftest import TIMEOUT_MS
from e2e.stack import Stack


def access_token(stack: Stack) -> str:
    credentials = {"email": stack.email, "password": stack.password}
    answer = requests.post(f"{stack.url}/api/auth/token", json=credentials, timeout=30)
    return str(answer.json()["access"])


def authorise(page: Page, token: str) -> None:
    """Enter a JSON Web Token as Swagger UI asks for it."""
    page.get_by_role("button", name="Authorize").first.click()
    scheme = page.locator(".auth-container").filter(has_text="jwt").first
    scheme.locator("input").fill(token)
    scheme.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").last.click()


def opened(page: Page, operation_id: str) -> Locator:
    operation = page.locator(f"[id$='-{operation_id}'].opblock")
    operation.locator(".opblock-summary-control").click()
    return operation


def execute(operation: Locator, body: dict[str, Any], status: int) -> dict[str, Any]:
    """Send the body; return the answer that the page shows."""
    operation.locator("textarea.body-param__text").fill(json.dumps(body))
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table tr.response")
    expect(answer.locator("td.response-col_status")).to_contain_text(
        str(status), timeout=TIMEOUT_MS
    )
    shown: dict[str, Any] = json.loads(answer.locator(".highlight-code code").first.inner_text())
    return shown


def test_a_stranger_authorises_and_asks_for_a_payment_link_in_the_docs(
    page: Page, stack: Stack
) -> None:
    page.goto("/api/docs")
    authorise(page, access_token(stack))
    conversation = execute(opened(page, "conversations_create"), {"title": "From the docs"}, 201)
    link = execute(opened(page, "payment_link_create"), {"conversationId": conversation["id"]}, 200)
    assert link["url"].startswith(f"{stack.stripe}/c/pay/cs_test_")


def test_the_docs_offer_an_example_of_each_body(page: Page) -> None:
    page.goto("/api/docs")
    operation = opened(page, "conversations_create")
    offered = json.loads(operation.locator("textarea.body-param__text").input_value())
    assert offered["title"]


def test_the_docs_are_dark_where_the_system_is(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    page.goto("/api/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    assert page.evaluate(background) == "rgb(28, 32, 34)"
    page.emulate_media(color_scheme="light")
    expect(page.locator("html.dark-mode")).to_have_count(0)
    assert page.evaluate(background) != "rgb(28, 32, 34)"
