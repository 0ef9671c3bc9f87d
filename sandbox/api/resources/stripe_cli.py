"""API route that opens a session for `stripe listen` and `stripe logs tail`."""

from __future__ import annotations

from sandbox.account import ACCOUNT_ID, API_VERSION
from sandbox.api.routing import ApiRequest, Route, post
from sandbox.identifiers import random_text
from sandbox.json_types import JsonObject
from sandbox.webhooks.cli_sessions import CliSessions


def routes(cli_sessions: CliSessions) -> list[Route]:
    """The undocumented routes of Stripe's CLI."""

    def create_session(request: ApiRequest) -> JsonObject:
        identifier, feature = cli_sessions.open_session(request.params.texts("websocket_features"))
        socket_base = request.account.base_url.replace("http://", "ws://", 1)
        return {
            "object": "stripecli_session",
            "default_version": API_VERSION,
            "device_token": random_text(24),
            "display_connect_filter_warning": False,
            "latest_version": API_VERSION,
            "reconnect_delay": request.account.options.reconnect_delay,
            "secret": cli_sessions.secret,
            "websocket_authorized_feature": feature,
            "websocket_id": identifier,
            "websocket_url": f"{socket_base}/subscribe/{ACCOUNT_ID}",
        }

    return [post("/v1/stripecli/sessions", create_session)]
