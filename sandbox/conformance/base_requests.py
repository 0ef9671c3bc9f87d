"""For each served route, the smallest request that succeeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.conformance.client import Client
from sandbox.conformance.flows.catalog import PRICE
from sandbox.json_types import JsonObject

_HOOK = {"url": "http://127.0.0.1:9/hook", "enabled_events": ["charge.refunded"]}
_ITEMS = {
    "mode": "payment",
    "line_items": [{"price": PRICE, "quantity": 1}],
    "success_url": "http://127.0.0.1:9/ok",
}


@dataclass(frozen=True)
class BaseRequest:
    """A route, where to send the request, its parameters, and ids for parameters by name."""

    route: str
    path: Callable[[], str]
    params: Callable[[], JsonObject] = dict
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.route.split(" ")[0]


def base_requests(client: Client) -> list[BaseRequest]:
    """The base requests; objects are created as they are needed."""
    objects = _Objects(client)
    ids = objects.ids()
    return [
        BaseRequest(route, _constant(path) if isinstance(path, str) else path, params, ids(route))
        for route, path, params in [*_lists(objects), *_updates(objects), *_creations(objects)]
    ]


_Row = tuple[str, str | Callable[[], str], Callable[[], JsonObject]]


def _constant(text: str) -> Callable[[], str]:
    return lambda: text


def _lists(objects: _Objects) -> list[_Row]:
    """Lists, and retrieval of one object of each kind."""
    one = {
        "/v1/balance_transactions": objects.transaction(),
        "/v1/charges": objects.charge,
        "/v1/checkout/sessions": objects.session(),
        "/v1/coupons": objects.coupon,
        "/v1/customers": objects.customer,
        "/v1/disputes": objects.dispute(),
        "/v1/events": objects.event(),
        "/v1/payment_intents": objects.payment,
        "/v1/payment_methods": objects.method,
        "/v1/prices": PRICE,
        "/v1/products": objects.product,
        "/v1/refunds": objects.refund(),
        "/v1/webhook_endpoints": objects.endpoint,
    }
    items = f"/v1/checkout/sessions/{one['/v1/checkout/sessions']}/line_items"
    return [
        *((f"GET {path}", path, dict) for path in one),
        *((f"GET {path}/{{}}", f"{path}/{identifier}", dict) for path, identifier in one.items()),
        ("GET /v1/checkout/sessions/{}/line_items", items, dict),
    ]


def _updates(objects: _Objects) -> list[_Row]:
    session = objects.session()
    return [
        ("POST /v1/charges/{}", f"/v1/charges/{objects.charge}", dict),
        ("POST /v1/checkout/sessions/{}", f"/v1/checkout/sessions/{session}", dict),
        (
            "POST /v1/checkout/sessions/{}/expire",
            lambda: f"/v1/checkout/sessions/{objects.session()}/expire",
            dict,
        ),
        ("POST /v1/customers/{}", f"/v1/customers/{objects.customer}", dict),
        ("POST /v1/disputes/{}", lambda: f"/v1/disputes/{objects.dispute()}", dict),
        ("POST /v1/disputes/{}/close", lambda: f"/v1/disputes/{objects.dispute()}/close", dict),
        (
            "POST /v1/payment_intents/{}",
            lambda: f"/v1/payment_intents/{objects.intent()['id']}",
            dict,
        ),
        (
            "POST /v1/payment_intents/{}/cancel",
            lambda: f"/v1/payment_intents/{objects.intent()['id']}/cancel",
            dict,
        ),
        (
            "POST /v1/payment_intents/{}/confirm",
            lambda: f"/v1/payment_intents/{objects.card_intent()['id']}/confirm",
            lambda: {"payment_method": "pm_card_visa"},
        ),
        ("POST /v1/prices/{}", f"/v1/prices/{PRICE}", dict),
        ("POST /v1/products/{}", f"/v1/products/{objects.product}", dict),
        ("POST /v1/refunds/{}", lambda: f"/v1/refunds/{objects.refund()}", dict),
        ("POST /v1/webhook_endpoints/{}", f"/v1/webhook_endpoints/{objects.endpoint}", dict),
    ]


def _creations(objects: _Objects) -> list[_Row]:
    return [
        ("POST /v1/checkout/sessions", "/v1/checkout/sessions", lambda: _ITEMS),
        (
            "POST /v1/coupons",
            "/v1/coupons",
            lambda: {"percent_off": 10, "duration": "once"},
        ),
        ("POST /v1/customers", "/v1/customers", dict),
        (
            "POST /v1/payment_intents",
            "/v1/payment_intents",
            lambda: {"amount": 2000, "currency": "usd"},
        ),
        (
            "POST /v1/payment_methods",
            "/v1/payment_methods",
            lambda: {"type": "card", "card": {"token": "tok_visa"}},
        ),
        (
            "POST /v1/prices",
            "/v1/prices",
            lambda: {"product": objects.product, "currency": "usd", "unit_amount": 1500},
        ),
        ("POST /v1/products", "/v1/products", lambda: {"name": "Book"}),
        (
            "POST /v1/refunds",
            "/v1/refunds",
            lambda: {"payment_intent": objects.card_payment()["id"], "amount": 100},
        ),
        ("POST /v1/webhook_endpoints", "/v1/webhook_endpoints", lambda: _HOOK),
    ]


class _Objects:
    """Objects that the requests refer to."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._numbers = itertools.count()
        self.product = self._made("/v1/products", name="Book")
        self.customer = self._made("/v1/customers", email="a@example.com")
        self.coupon = self._made("/v1/coupons", percent_off=10, duration="once")
        self.method = self._new_method()
        self.endpoint = self._made("/v1/webhook_endpoints", **_HOOK)
        paid = self.card_payment()
        self.payment = str(paid["id"])
        self.charge = str(paid["latest_charge"])
        self._secret = str(paid["client_secret"])

    def ids(self) -> Callable[[str], Mapping[str, Any]]:
        """Values of parameters by name, for a route."""
        known: dict[str, Any] = {
            "charge": self.charge,
            "coupon": self.coupon,
            "customer": self.customer,
            "payment_intent": self.payment,
            "payment_method": self.method,
            "applies_to": {"products": [self.product]},
            "product": self.product,
            "source": self.charge,
            "id": lambda: f"text_{next(self._numbers)}",  # an id is chosen once
        }
        own: dict[str, Mapping[str, Any]] = {
            "GET /v1/payment_intents/{}": {"client_secret": self._secret},
            "POST /v1/payment_intents": {"payment_method": self._new_method},
            "POST /v1/products/{}": {"default_price": self._price},
            "POST /v1/refunds": {"charge": lambda: self.card_payment()["latest_charge"]},
        }
        return lambda route: {**known, **own.get(route, {})}

    def session(self) -> str:
        return self._made("/v1/checkout/sessions", **_ITEMS)

    def intent(self, **params: Any) -> JsonObject:
        return self._client.post("/v1/payment_intents", amount=2000, currency="usd", **params)

    def card_intent(self, **params: Any) -> JsonObject:
        return self.intent(payment_method_types=["card"], **params)

    def card_payment(self, method: str = "pm_card_visa") -> JsonObject:
        return self.card_intent(confirm=True, payment_method=method)

    def refund(self) -> str:
        return self._made("/v1/refunds", payment_intent=self.card_payment()["id"], amount=100)

    def dispute(self) -> str:
        paid = self.card_payment("pm_card_createDispute")
        return self._first("/v1/disputes", payment_intent=paid["id"])

    def event(self) -> str:
        return self._first("/v1/events")

    def transaction(self) -> str:
        self._client.settle()
        return str(self._client.get(f"/v1/charges/{self.charge}")["balance_transaction"])

    def _new_method(self) -> str:
        return self._made("/v1/payment_methods", type="card", card={"token": "tok_visa"})

    def _price(self) -> str:
        return self._made("/v1/prices", product=self.product, currency="usd", unit_amount=900)

    def _made(self, path: str, **params: Any) -> str:
        return str(self._client.post(path, **params)["id"])

    def _first(self, path: str, **params: Any) -> str:
        return str(self._client.get(path, limit=1, **params)["data"][0]["id"])
