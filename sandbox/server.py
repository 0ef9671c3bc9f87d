"""Decides how the parts are put together and served: on loopback only, and on a socket if asked."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aiohttp import web

from sandbox import seeds
from sandbox.access import LoopbackRunner, refuse_other_sites, serve_socket, word_refusals
from sandbox.account import Account
from sandbox.api.handler import Api
from sandbox.api.resources import (
    catalog,
    checkout,
    payments,
    refunds_and_disputes,
    stripe_cli,
    webhooks,
)
from sandbox.api.routing import Router
from sandbox.database import open_database
from sandbox.flows import checkout as checkout_flow
from sandbox.flows import disputes, refunds
from sandbox.flows import payments as payment_flow
from sandbox.options import Options
from sandbox.pages.checkout_actions import Hosting
from sandbox.pages.control_actions import Controlling
from sandbox.webhooks.cli_sessions import Listeners
from sandbox.webhooks.delivery import Courier
from sandbox.webhooks.endpoints import configure_endpoint
from sandbox.webhooks.events import forget_absent_targets
from sandbox.worker import Change, Runner

_HOST = "127.0.0.1"
_LARGEST_BODY = 2**20


class Sandbox:
    """A running local Stripe."""

    def __init__(self, options: Options) -> None:
        self._connection: sqlite3.Connection = open_database(options.state)
        self.account = Account(self._connection, options)
        self.listeners = Listeners(self.account)
        self.courier = Courier(self.account, self.listeners)
        self.listeners.on_accepted = self.courier.settle
        self.runner = Runner(self.account, _CHANGES, {"deliver": self.courier.deliver})
        self._web = LoopbackRunner(self._application())
        self._socket: Path | None = None
        self.signing_secret: str | None = None

    async def start(self) -> None:
        """Serve. Raises OSError when the port or the socket is taken."""
        options = self.account.options
        await self._web.setup()
        site = web.TCPSite(self._web, _HOST, options.port)
        await site.start()
        self.account.base_url = f"http://{_HOST}:{_bound_port(self._web)}"
        if options.socket is not None:
            await serve_socket(self._web, options.socket)
            self._socket = options.socket
        with self.account.change():
            self.signing_secret = configure_endpoint(
                self.account, options.webhook, options.webhook_secret
            )
            forget_absent_targets(self.account)
        seeds.plant(self.account, options.prices)
        self.runner.start()

    async def stop(self) -> None:
        """Stop serving; what was not delivered is sent at the next start, if state is kept."""
        await self.listeners.close()
        await self.runner.stop()
        await self.courier.close()
        await self._web.cleanup()
        if self._socket is not None:  # ours, not one that another process was found to hold
            self._socket.unlink(missing_ok=True)
        self._connection.close()

    def _application(self) -> web.Application:
        application = web.Application(
            client_max_size=_LARGEST_BODY, middlewares=[refuse_other_sites, word_refusals]
        )
        router = Router(
            [
                *checkout.ROUTES,
                *payments.ROUTES,
                *webhooks.ROUTES,
                *refunds_and_disputes.ROUTES,
                *catalog.ROUTES,
                *stripe_cli.routes(self.listeners),
            ]
        )
        api = Api(self.account, router, self.listeners)
        application.add_routes(Hosting(self.account, self.courier).routes())
        application.add_routes(Controlling(self.account).routes())
        application.router.add_get("/subscribe/{account}", self.listeners.serve)
        application.router.add_route("*", "/{path:(?!sandbox(/|$)|c/|subscribe/).*}", api.handle)
        return application


_CHANGES: dict[str, Change] = {
    "book_charge": payment_flow.book_charge,
    "close_dispute": disputes.close_when_decided,
    "expire_session": checkout_flow.expire_when_due,
    "settle_debit": checkout_flow.settle_debit,
    "settle_refund": refunds.settle_refund,
}


def _bound_port(runner: web.AppRunner) -> int:
    return int(runner.addresses[0][1])
