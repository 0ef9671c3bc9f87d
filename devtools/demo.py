"""`make demo`: pay, reveal a key and use it, from the terminal against a running `make run`.

It uses HTTP only and prints each request with its status. The key is not printed: a terminal's or
CI's log must not contain one that works.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import requests

from devtools import runfile
from devtools.hosted_page import filled_form

TIMEOUT = 30.0
CONFIRMED_WITHIN = 30.0
POLL_INTERVAL = 0.5

OK = HTTPStatus.OK
CREATED = HTTPStatus.CREATED
SEE_OTHER = HTTPStatus.SEE_OTHER
UNAUTHORIZED = HTTPStatus.UNAUTHORIZED
CONFLICT = HTTPStatus.CONFLICT

CARD = {
    "cc-number": "4242 4242 4242 4242",
    "cc-exp": "12 / 34",
    "cc-csc": "123",
    "name": "Demo User",
    "email": "demo@example.com",
}
NOT_RUNNING = "nothing is running here: start it with `make run` in another terminal"


class StepError(Exception):
    """A step failed; the text says which and how."""


class Client:
    """An HTTP client that prints each request with the status of its answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = requests.Session()

    def use(self, bearer: str) -> None:
        """Authenticate the following requests with a JWT or an API key."""
        self._http.headers["Authorization"] = f"Bearer {bearer}"

    def call(self, expected: HTTPStatus, method: str, path: str, **options: Any) -> Any:
        """The answer of our API, parsed."""
        return self.request(expected, method, self.url + path, **options).json()

    def request(
        self, expected: HTTPStatus, method: str, url: str, **options: Any
    ) -> requests.Response:
        """Send a request; raise StepError unless the answer has the expected status."""
        answer = self._http.request(method, url, timeout=TIMEOUT, allow_redirects=False, **options)
        shown = url.removeprefix(self.url).split("?")[0]
        print(f"  {answer.status_code}  {method:6} {shown}")
        if answer.status_code != expected:
            raise StepError(f"{method} {shown} should have been {expected}: {answer.text[:500]}")
        return answer


def main() -> int:
    address = runfile.read_runfile()
    try:
        if address is None:
            raise StepError(NOT_RUNNING)
        journey(Client(address.url), address)
    except requests.ConnectionError:
        return complain(NOT_RUNNING)
    except (StepError, requests.RequestException) as error:
        return complain(str(error))
    print("\nDone: the payment made a key, the key worked, and it was deleted.")
    return 0


def complain(text: str) -> int:
    print(f"payflow: {text}", file=sys.stderr)
    return 1


def journey(client: Client, address: runfile.Address) -> None:
    sign_in(client, address)
    conversation_id = start_conversation(client)
    pay(client, conversation_id)
    key_id = confirmed_key(client, conversation_id)
    key = reveal(client, key_id)
    use(client, key)
    delete(client, key_id, key)


def sign_in(client: Client, address: runfile.Address) -> None:
    step(f"Sign in as {address.email}")
    credentials = {"email": address.email, "password": address.password}
    client.use(client.call(OK, "POST", "/api/auth/token", json=credentials)["access"])


def start_conversation(client: Client) -> int:
    """Create a conversation: that of an earlier run is paid already."""
    step("Start a conversation")
    title = f"Demo of {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return int(client.call(CREATED, "POST", "/api/conversations", json={"title": title})["id"])


def pay(client: Client, conversation_id: int) -> None:
    """Request a payment link, read the hosted page, and post its form as a browser does."""
    step("Ask for a payment link")
    body = {"conversationId": conversation_id}
    url = client.call(OK, "POST", "/api/payments/link", json=body)["url"]
    step("Pay on the hosted page with 4242 4242 4242 4242")
    browser = Client(client.url)
    page = browser.request(OK, "GET", url)
    form = filled_form(page.text, base=url, values=CARD)
    answer = browser.request(SEE_OTHER, "POST", form.action, data=form.fields)
    returns_to = answer.headers["Location"].split("?")[0]
    print(f"       the customer returns to {returns_to}")


def confirmed_key(client: Client, conversation_id: int) -> int:
    """Wait for the webhook; return the id of the key that it issued."""
    step("Wait for the signed webhook to confirm the payment")
    deadline = time.monotonic() + CONFIRMED_WITHIN
    path = f"/api/conversations/{conversation_id}"
    while (status := client.call(OK, "GET", path)["paymentStatus"]) != "paid":
        if time.monotonic() > deadline:
            raise StepError(f"no webhook within {CONFIRMED_WITHIN:.0f} s: still {status}")
        time.sleep(POLL_INTERVAL)
    print("       paymentStatus: paid")
    orders = client.call(OK, "GET", "/api/orders")["orders"]
    return next(int(o["apiKeyId"]) for o in orders if o["conversationId"] == conversation_id)


def reveal(client: Client, key_id: int) -> str:
    step("Reveal the key, which works once")
    key = str(client.call(OK, "POST", f"/api/api-keys/{key_id}/reveal")["key"])
    print(f"       a key of {len(key)} characters, not printed")
    client.call(CONFLICT, "POST", f"/api/api-keys/{key_id}/reveal")
    listed = client.call(OK, "GET", "/api/api-keys")["keys"]
    print(f"       listed by its prefix {next(k['prefix'] for k in listed if k['id'] == key_id)}…")
    return key


def use(client: Client, key: str) -> None:
    step("Call the API with the key")
    holder = Client(client.url)
    holder.use(key)
    holder.call(OK, "GET", "/api/conversations")


def delete(client: Client, key_id: int, key: str) -> None:
    step("Delete the key; it stops working")
    client.call(OK, "DELETE", f"/api/api-keys/{key_id}")
    holder = Client(client.url)
    holder.use(key)
    holder.call(UNAUTHORIZED, "GET", "/api/conversations")


def step(text: str) -> None:
    print(f"\n{text}")


if __name__ == "__main__":
    sys.exit(main())
