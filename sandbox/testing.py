"""Test harness: runs a sandbox in a thread and controls it by method calls.

with running(webhook=url, webhook_secret="whsec_test") as stripe:
    session = client.v1.checkout.sessions.create(...)   # a client for stripe.url
    assert stripe.pay(session.id).status == "succeeded"
    stripe.wait_idle()
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from sandbox.faults import Fault, fault_from
from sandbox.flows import customer_actions, disputes, refunds
from sandbox.flows.collected import Collected
from sandbox.flows.customer_actions import PaymentMethodData, PaymentResult
from sandbox.json_types import JsonObject
from sandbox.options import Options
from sandbox.request_log import LoggedRequest
from sandbox.server import Sandbox
from sandbox.webhooks.delivery import resend
from sandbox.webhooks.endpoints import CONFIGURED_ENDPOINT, roll_secret
from sandbox.webhooks.outbox import Delivery
from sandbox.webhooks.switches import Switches

T = TypeVar("T")

TEST_SECRET = "whsec_sandbox_test_secret"  # noqa: S105 (protects nothing)
_TIMEOUT = 30.0
_ADDRESS = {
    "line1": "1 Test Street",
    "city": "Testville",
    "state": "CA",
    "postal_code": "94107",
    "country": "US",
}


def _collected(session: JsonObject, name: str) -> Collected:
    """Test data for all that a session asks for."""
    shipping = None
    if asked := session["shipping_address_collection"]:
        address = {**_ADDRESS, "country": asked["allowed_countries"][0]}
        shipping = {"name": name, "address": address}
    names = session.get("name_collection") or {}
    return Collected(
        phone="+15555550100" if session["phone_number_collection"]["enabled"] else None,
        business_name="Test Business" if "business" in names else None,
        individual_name=name if "individual" in names else None,
        shipping=shipping,
        custom_fields={each["key"]: _custom_value(each) for each in session["custom_fields"]},
        terms_of_service=bool((session["consent_collection"] or {}).get("terms_of_service")),
    )


def _custom_value(asked: JsonObject) -> str:
    if asked["type"] == "dropdown":
        return str(asked["dropdown"]["options"][0]["value"])
    return "1" * (asked[asked["type"]]["minimum_length"] or 1)


class RunningSandbox:
    """A running sandbox. All methods are thread-safe."""

    def __init__(self, sandbox: Sandbox, loop: asyncio.AbstractEventLoop) -> None:
        self._sandbox = sandbox
        self._loop = loop

    @property
    def url(self) -> str:
        """The base URL, for `base_addresses={"api": …}`."""
        return self._sandbox.account.base_url

    @property
    def webhook_secret(self) -> str | None:
        """The signing secret of the configured endpoint."""
        return self._sandbox.signing_secret

    def pay(
        self,
        session_id: str,
        card: str = "4242424242424242",
        *,
        email: str = "customer@example.com",
        name: str = "Test Customer",
    ) -> PaymentResult:
        """Pay as on the hosted page. Returns when the page would redirect or show an error."""
        payment = PaymentMethodData(
            "card",
            {"number": card},
            email=email,
            name=name,
            address=_ADDRESS,
            collected=_collected(self.object(session_id), name),
        )
        return self._run(self._pay(session_id, payment))

    def pay_by_debit(self, session_id: str, *, succeeds: bool = True) -> PaymentResult:
        """Pay by bank debit, in the session's currency."""
        session = self.object(session_id)
        if session["currency"] == "eur":
            iban = "AT611904300234573201" if succeeds else "AT861904300235473202"
            payment = PaymentMethodData("sepa_debit", {"iban": iban}, email="customer@example.com")
        else:
            number = "000123456789" if succeeds else "000222222227"
            details = {"account_number": number}
            payment = PaymentMethodData("us_bank_account", details, email="customer@example.com")
        return self._run(self._pay(session_id, payment))

    def authenticate(self, session_id: str, *, passed: bool = True) -> PaymentResult:
        """Pass or fail 3D Secure."""
        return self._run(self._authenticate(session_id, passed))

    def refund(self, charge_id: str, amount: int | None = None) -> JsonObject:
        """Refund a charge, as from Stripe's dashboard."""
        return self._change(
            lambda: refunds.create_refund(
                self._sandbox.account, charge_id, amount=amount, reason=None, metadata={}
            )
        )

    def dispute(self, charge_id: str, *, inquiry: bool = False) -> JsonObject:
        """Open a dispute or inquiry of a charge."""
        status = "warning_needs_response" if inquiry else "needs_response"
        return self._change(
            lambda: disputes.open_dispute(
                self._sandbox.account, charge_id, reason="fraudulent", status=status
            )
        )

    def close_dispute(self, dispute_id: str, *, won: bool) -> JsonObject:
        """Close a dispute."""
        account = self._sandbox.account
        return self._change(
            lambda: disputes.close(account, account.store.get("dispute", dispute_id), won=won)
        )

    def resend(self, event_id: str) -> None:
        """Send an event again, once, to every subscribed endpoint."""
        account = self._sandbox.account
        self._change(lambda: resend(account, account.store.get("event", event_id)))

    def roll_webhook_secret(self, *, overlap: float = 24 * 3600) -> str:
        """Roll the configured endpoint's secret; both sign for `overlap` seconds."""
        return self._change(
            lambda: roll_secret(self._sandbox.account, CONFIGURED_ENDPOINT, overlap=overlap)
        )

    def advance_clock(self, seconds: float) -> None:
        """Move the account's clock forward; due jobs run."""
        self._change(lambda: self._sandbox.account.advance_clock(seconds))

    def set_switches(self, **switches: Any) -> None:
        """Set the fault switches (see Switches); without arguments, reset them."""
        self._change(lambda: self._sandbox.account.set_switches(Switches(**switches)))

    def add_fault(self, **fault: Any) -> Fault:
        """Make matching API requests fail, late or lost (see Fault)."""
        return self._call(lambda: self._sandbox.account.faults.add(fault_from(fault)))

    def wait_for_fault(self, identifier: str) -> None:
        """Wait until a request has met a fault. Raises TimeoutError."""

        def is_met() -> bool:
            faults = self._call(self._sandbox.account.faults.all)
            return any(each.id == identifier and each.is_due for each in faults)

        deadline = time.monotonic() + _TIMEOUT
        while not is_met():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no request has met the fault {identifier}")
            time.sleep(0.01)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._call(self._sandbox.account.faults.remove)

    def requests(
        self, *, method: str | None = None, path: str | None = None
    ) -> list[LoggedRequest]:
        """The API requests received, oldest first; `*` in the path matches any text."""
        return self._call(lambda: self._sandbox.account.requests.select(method=method, path=path))

    def seed(self, fixtures: JsonObject) -> dict[str, JsonObject]:
        """Load fixtures, in the format of `stripe fixtures`. Returns what was created, by name."""
        return self._call(lambda: self._sandbox.seed(fixtures))

    def reset(self) -> None:
        """Return to the state after the first start."""
        self._call(self._sandbox.reset)

    def set_options(self, **options: Any) -> None:
        """Change options while running; see Options."""
        account = self._sandbox.account

        def change() -> None:
            account.options = replace(account.options, **options)

        self._call(change)

    def object(self, identifier: str) -> JsonObject:
        """An object by id. Raises LookupError."""
        found = self._call(lambda: self._sandbox.account.store.find(identifier))
        if found is None:
            raise LookupError(identifier)
        return found

    def events(self, kind: str | None = None) -> list[JsonObject]:
        """All events, or those of one type, oldest first."""
        found = self._call(lambda: list(self._sandbox.account.store.all("event")))
        return [event for event in found if kind in (None, event["type"])]

    def deliveries(self, event: str | None = None) -> list[Delivery]:
        """All delivery attempts, or those of one event, oldest first."""
        return self._call(lambda: self._sandbox.account.outbox.deliveries(event))

    def wait_idle(self, timeout: float = 10.0) -> None:
        """Wait until no job is running or due within the timeout. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if self._call(lambda: self._sandbox.worker.is_idle(horizon=left)):
                return
            time.sleep(0.005)
        raise TimeoutError(f"the sandbox is still busy after {timeout} s")

    async def _pay(self, session_id: str, payment: PaymentMethodData) -> PaymentResult:
        return await self._wait_acknowledged(
            customer_actions.pay(self._sandbox.account, session_id, payment)
        )

    async def _authenticate(self, session_id: str, passed: bool) -> PaymentResult:
        return await self._wait_acknowledged(
            customer_actions.authenticate(self._sandbox.account, session_id, passed=passed)
        )

    async def _wait_acknowledged(self, result: PaymentResult) -> PaymentResult:
        if result.event is not None:
            timeout = self._sandbox.account.options.ack_timeout
            await self._sandbox.sender.wait_acknowledged(result.event, timeout)
        return result

    def _change(self, work: Callable[[], T]) -> T:
        def inside() -> T:
            with self._sandbox.account.change():
                return work()

        return self._call(inside)

    def _call(self, work: Callable[[], T]) -> T:
        async def inside() -> T:
            return work()

        return self._run(inside())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT)


class MoreOptions(TypedDict, total=False):
    """Further options that a test may set; see Options."""

    fixtures: Path
    allowed_hosts: frozenset[str]

    retry_delays: tuple[float, ...]
    ack_timeout: float
    delivery_timeout: float
    settle_delay: float
    delayed_method_delay: float
    reconnect_delay: int


_TEST_OPTIONS = Options(
    retry_delays=(0.05, 0.1, 0.2), ack_timeout=5.0, settle_delay=0.02, delayed_method_delay=0.05
)


@contextmanager
def running(
    *,
    webhook: str | None,
    webhook_secret: str = TEST_SECRET,
    port: int = 0,
    prices: Mapping[str, str] | None = None,
    state: Path | None = None,
    socket: Path | None = None,
    **more: Unpack[MoreOptions],
) -> Iterator[RunningSandbox]:
    """Run a sandbox for the duration of the block, with short delays unless given."""
    options = replace(
        replace(_TEST_OPTIONS, **more),
        port=port,
        webhook=webhook,
        webhook_secret=webhook_secret,
        prices=prices or {},
        state=state,
        socket=socket,
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sandbox", daemon=True)
    thread.start()
    try:
        sandbox = asyncio.run_coroutine_threadsafe(_start(options), loop).result(_TIMEOUT)
        try:
            yield RunningSandbox(sandbox, loop)
        finally:
            asyncio.run_coroutine_threadsafe(sandbox.stop(), loop).result(_TIMEOUT)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_TIMEOUT)
        loop.close()


async def _start(options: Options) -> Sandbox:
    sandbox = Sandbox(options)
    try:
        await sandbox.start()
    except BaseException:
        await sandbox.stop()
        raise
    return sandbox
