"""Mixed load on the cluster: customers who pay, keys that are checked and revoked, lists.

Each kind of client is a thread that goes on until `stop()`. What it saw is kept: every request with
its time and status, the keys that work, and when which was revoked.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import jwt
import requests

from devtools.cluster.layout import NODES, Layout
from devtools.demo import CARD
from devtools.hosted_page import filled_form

TIMEOUT = 15.0
# For an answer that must come in the end, whatever fails meanwhile.
PATIENCE = 180.0
RETRY_AFTER = 0.3
# Of the contract, everywhere: the node's second, and the edge's.
REVOKED_WITHIN = 2.0
VERIFY = "/api/api-keys/verify"
PAYERS, VERIFIERS = 3, 3


@dataclass(frozen=True)
class Request:
    at: float
    kind: str
    status: int
    """0 is no answer."""

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True)
class Key:
    secret: str
    key_id: int
    user_id: int


@dataclass
class Seen:
    """What the clients saw; appended to by their threads."""

    requests: list[Request] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    revoked: list[tuple[float, Key]] = field(default_factory=list)
    paid: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


class Load:
    def __init__(self, layout: Layout, user_ids: Sequence[int]) -> None:
        self.seen = Seen()
        self._layout = layout
        self._user_ids = user_ids
        self._stopping = threading.Event()
        clients = [*[self._pay] * PAYERS, *[self._verify] * VERIFIERS, self._revoke, self._list]
        self._threads = [
            threading.Thread(target=self._repeat, args=[each], daemon=True) for each in clients
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each client end what it began."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, client: Callable[[requests.Session], float]) -> None:
        while not self._stopping.is_set():
            with requests.Session() as session:
                try:
                    pause = client(session)
                except (GaveUp, requests.RequestException) as error:
                    self.seen.violations.append(str(error))
                    pause = 1.0
            self._stopping.wait(pause)

    def _pay(self, session: requests.Session) -> float:
        """Start a conversation, pay for it, wait until it is paid, and reveal the key."""
        user_id = random.choice(self._user_ids)  # noqa: S311
        session.headers["Authorization"] = f"Bearer {self._jwt(user_id)}"
        body = {"title": "cluster"}
        conversation = self._insist(session, "POST", "/api/conversations", json=body)["id"]
        link = self._insist(
            session, "POST", "/api/payments/link", json={"conversationId": conversation}
        )
        page = requests.get(link["url"], timeout=TIMEOUT)
        form = filled_form(page.text, base=link["url"], values=CARD)
        requests.post(form.action, data=form.fields, timeout=TIMEOUT, allow_redirects=False)
        self.seen.paid.append(conversation)
        order = self._order(session, conversation)
        path = f"/api/api-keys/{order['apiKeyId']}/reveal"
        key = self._insist(session, "POST", path)["key"]
        self.seen.keys.append(Key(key, int(order["apiKeyId"]), user_id))
        return 0.2

    def _order(self, session: requests.Session, conversation: int) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            path = f"/api/orders?conversationId={conversation}&status=completed"
            orders = self._insist(session, "GET", path)["orders"]
            if orders:
                return dict(orders[0])
            time.sleep(RETRY_AFTER)
        raise GaveUp(f"conversation {conversation} was paid and is not, after {PATIENCE:.0f} s")

    def _verify(self, session: requests.Session) -> float:
        """Check a key at a node or at the edge; one of ten is a revoked key."""
        at_edge = random.random() < 0.5  # noqa: S311
        url = f"http://{self._layout.address('edge')}/" if at_edge else self._layout.url + VERIFY
        kind = "verify at the edge" if at_edge else "verify"
        if self.seen.revoked and random.random() < 0.1:  # noqa: S311
            revoked_at, key = random.choice(self.seen.revoked)  # noqa: S311
            late = time.monotonic() > revoked_at + REVOKED_WITHIN
            answer = self._request(session, "GET", url, kind=kind, bearer=key.secret)
            if answer == HTTPStatus.NO_CONTENT and late:
                self.seen.violations.append(f"key {key.key_id} works though it was revoked")
        elif self.seen.keys:
            key = random.choice(self.seen.keys)  # noqa: S311
            answer = self._request(session, "GET", url, kind=kind, bearer=key.secret)
            if answer == HTTPStatus.UNAUTHORIZED and key in self.seen.keys:
                self.seen.violations.append(f"key {key.key_id} was refused though it is good")
        return 0.02

    def _revoke(self, session: requests.Session) -> float:
        """Delete a key, and see it refused by everybody within two seconds."""
        if len(self.seen.keys) < 2 * PAYERS:
            return 1.0
        key = self.seen.keys.pop(random.randrange(len(self.seen.keys)))  # noqa: S311
        edge = f"http://{self._layout.address('edge')}/"  # which then has it in its cache
        self._request(session, "GET", edge, kind="verify at the edge", bearer=key.secret)
        session.headers["Authorization"] = f"Bearer {self._jwt(key.user_id)}"
        self._insist(session, "DELETE", f"/api/api-keys/{key.key_id}")
        at = time.monotonic()
        time.sleep(REVOKED_WITHIN)
        nodes = [f"http://{self._layout.address(node)}{VERIFY}" for node in NODES]
        # A customer does not ask a node, so one that is stopped fails no request.
        statuses = [self._status(session, "GET", url, key.secret) for url in nodes]
        kind = "revoked at the edge"
        statuses.append(self._request(session, "GET", edge, kind=kind, bearer=key.secret))
        if HTTPStatus.NO_CONTENT in statuses:
            self.seen.violations.append(f"key {key.key_id} works 2 s after it was revoked")
        self.seen.revoked.append((at, key))
        return 2.0

    def _list(self, session: requests.Session) -> float:
        bearer = self._jwt(random.choice(self._user_ids))  # noqa: S311
        for path in ("/api/conversations", "/api/orders"):
            self._request(session, "GET", self._layout.url + path, kind="list", bearer=bearer)
        return 0.2

    def _insist(self, session: requests.Session, method: str, path: str, **options: Any) -> Any:
        """Repeat a request until it succeeds, with one Idempotency-Key; raise GaveUp."""
        headers = {"Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + PATIENCE
        kind = f"{method} {path.split('?', maxsplit=1)[0].rstrip('0123456789')}"
        kind = "POST reveal" if path.endswith("/reveal") else kind
        while True:
            at = time.monotonic()
            status, answer = 0, None
            try:
                answer = session.request(
                    method, self._layout.url + path, timeout=TIMEOUT, headers=headers, **options
                )
                status = answer.status_code
            except requests.RequestException:
                session.close()
            self.seen.requests.append(Request(at, kind, status))
            if answer is not None and answer.ok:
                return answer.json()
            if method == "DELETE" and status == HTTPStatus.NOT_FOUND:
                return {}  # the answer to the first one was lost
            if answer is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise GaveUp(f"{kind}: {status} {answer.text[:300]}")
            if time.monotonic() > deadline:
                raise GaveUp(f"{kind}: {status} for {PATIENCE:.0f} s")
            time.sleep(RETRY_AFTER)

    def _request(
        self, session: requests.Session, method: str, url: str, *, kind: str, bearer: str
    ) -> int:
        at = time.monotonic()
        status = self._status(session, method, url, bearer)
        self.seen.requests.append(Request(at, kind, status))
        return status

    def _status(self, session: requests.Session, method: str, url: str, bearer: str) -> int:
        headers = {"Authorization": f"Bearer {bearer}", "Host": "localhost"}
        try:
            return session.request(method, url, timeout=TIMEOUT, headers=headers).status_code
        except requests.RequestException:
            return 0

    def _jwt(self, user_id: int) -> str:
        expires = datetime.now(UTC) + timedelta(hours=1)
        claims = {"sub": str(user_id), "exp": expires}
        return jwt.encode(claims, self._layout.jwt_secret, algorithm="HS256")


class GaveUp(Exception):
    """A request that must succeed in the end did not."""
