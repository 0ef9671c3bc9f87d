"""The sandbox as a whole: wires the parts together and serves them on loopback."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aiohttp import web

from sandbox import seeds
from sandbox.access import refuse_other_sites
from sandbox.account import Account
from sandbox.api.handler import ApiHandler
from sandbox.api.resources import (
    account,
    cash_balance,
    catalog,
    checkout,
    invoices,
    payment_intents,
    payment_links,
    payments,
    promotion_codes,
    refunds_and_disputes,
    saved_methods,
    search,
    setup_intents,
    shipping_rates,
    stripe_cli,
    webhooks,
)
from sandbox.api.routing import Router
from sandbox.control_api import ControlApi
from sandbox.database import open_database
from sandbox.fixtures import fingerprint, load_fixtures, read_fixtures
from sandbox.flows import balance, disputes, refunds
from sandbox.flows import checkout as checkout_flow
from sandbox.flows import payments as payment_flow
from sandbox.http_server import LoopbackRunner, render_error_pages, serve_socket
from sandbox.json_types import JsonObject
from sandbox.options import Options
from sandbox.pages.checkout_actions import CheckoutActions
from sandbox.pages.control_actions import ControlActions
from sandbox.webhooks.cli_sessions import CliSessions
from sandbox.webhooks.delivery import WebhookSender
from sandbox.webhooks.endpoints import configure_endpoint
from sandbox.webhooks.events import drop_missing_targets
from sandbox.worker import TransactionJob, Worker

_HOST = "127.0.0.1"
_MAX_BODY_SIZE = 2**20


class Sandbox:
    """A sandbox that can be started and stopped."""

    def __init__(self, options: Options) -> None:
        self._connection: sqlite3.Connection = open_database(options.state)
        self.account = Account(self._connection, options)
        self.cli_sessions = CliSessions(self.account)
        self.sender = WebhookSender(self.account, self.cli_sessions)
        self.cli_sessions.on_accepted = self.sender.mark_accepted
        self.worker = Worker(self.account, _TRANSACTION_JOBS, {"deliver": self.sender.deliver})
        self._web = LoopbackRunner(self._application())
        self._socket: Path | None = None
        self.signing_secret: str | None = None

    async def start(self) -> None:
        """Start serving. Raises OSError if the port or the socket is in use."""
        options = self.account.options
        await self._web.setup()
        site = web.TCPSite(self._web, options.listen, options.port)
        await site.start()
        self.account.base_url = options.public_url or f"http://{_HOST}:{_bound_port(self._web)}"
        if options.socket is not None:
            await serve_socket(self._web, options.socket)
            self._socket = options.socket
        with self.account.change():
            self.signing_secret = configure_endpoint(
                self.account, options.webhook, options.webhook_secret
            )
            drop_missing_targets(self.account)
        self._seed_configured()
        self.worker.start()

    def reset(self) -> None:
        """Return to the state after the first start, with the same signing secret."""
        options = self.account.options
        with self.account.change():
            self.account.reset()
            configure_endpoint(self.account, options.webhook, self.signing_secret)
        self._seed_configured()

    def seed(self, content: JsonObject) -> dict[str, JsonObject]:
        """Load fixtures in one transaction. Their events are stored, not delivered."""
        with self.account.change(), self.account.muted():
            return load_fixtures(content, self._api.call)

    def _seed_configured(self) -> None:
        """Create the configured prices, and load the file of fixtures unless it was loaded."""
        seeds.create_prices(self.account, self.account.options.prices)
        if self.account.options.fixtures is None:
            return
        content = read_fixtures(self.account.options.fixtures)
        if self.account.setting_value("fixtures") != fingerprint(content):
            self.seed(content)
            self.account.set_setting("fixtures", fingerprint(content))

    async def stop(self) -> None:
        """Stop serving. With a state file, undelivered events are sent after the next start."""
        await self.cli_sessions.close()
        await self.worker.stop()
        await self.sender.close()
        await self._web.cleanup()
        if self._socket is not None:  # bound by this process
            self._socket.unlink(missing_ok=True)
        self._connection.close()

    def _application(self) -> web.Application:
        application = web.Application(
            client_max_size=_MAX_BODY_SIZE,
            middlewares=[
                refuse_other_sites(self.account.options.allowed_hosts),
                render_error_pages,
            ],
        )
        router = Router(
            [
                *search.ROUTES,  # before the routes that take an id in its place
                *checkout.ROUTES,
                *payment_links.ROUTES,
                *payments.ROUTES,
                *payment_intents.ROUTES,
                *invoices.ROUTES,
                *webhooks.ROUTES,
                *refunds_and_disputes.ROUTES,
                *shipping_rates.ROUTES,
                *account.ROUTES,
                *cash_balance.ROUTES,
                *catalog.ROUTES,
                *promotion_codes.ROUTES,
                *saved_methods.ROUTES,
                *setup_intents.ROUTES,
                *stripe_cli.routes(self.cli_sessions),
            ]
        )
        self._api = ApiHandler(self.account, router, self.cli_sessions)
        application.add_routes(CheckoutActions(self.account, self.sender).routes())
        application.add_routes(self._control_api().routes())
        application.add_routes(ControlActions(self.account).routes())
        application.router.add_get("/subscribe/{account}", self.cli_sessions.serve)
        application.router.add_route(
            "*", "/{path:(?!sandbox(/|$)|b/|c/|subscribe/).*}", self._api.handle
        )
        return application

    def _control_api(self) -> ControlApi:
        return ControlApi(
            self.account,
            reset=self.reset,
            seed=self.seed,
            is_idle=lambda within: self.worker.is_idle(horizon=within),
        )


_TRANSACTION_JOBS: dict[str, TransactionJob] = {
    "add_charge_to_balance": payment_flow.add_charge_to_balance,
    "close_dispute": disputes.close_when_decided,
    "expire_authorization": payment_flow.expire_authorization,
    "expire_session": checkout_flow.expire_when_due,
    "release_funds": balance.release_funds,
    "settle_debit": checkout_flow.settle_debit,
    "settle_refund": refunds.settle_refund,
}


def _bound_port(worker: web.AppRunner) -> int:
    return int(worker.addresses[0][1])
