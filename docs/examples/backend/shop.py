"""A small backend that has users of its own, and uses payflow as a service beside it.

It reads PAYFLOW_URL, SERVICE_TOKEN (of manage.py issue_service_token shop), WEBHOOK_SECRET (of its
webhook endpoint, if it has one) and PORT. It needs Python 3.11 and no package. Its users have
UUIDs, and it keeps no table of payflow's: it asks, by HTTP alone.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAYFLOW = os.environ["PAYFLOW_URL"]
SERVICE_TOKEN = os.environ["SERVICE_TOKEN"]
WEBHOOK_SECRET = os.environ.get("WEBHOOK_SECRET", "")
PAGES = Path(__file__).resolve().parents[1] / "frontend"
TOLERANCE = 300  # seconds that a webhook may be old

database = sqlite3.connect(":memory:", check_same_thread=False)
database.executescript(
    "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT UNIQUE);"
    "CREATE TABLE sessions (cookie TEXT PRIMARY KEY, user_id TEXT);"
    "CREATE TABLE events (id TEXT PRIMARY KEY, type TEXT, body TEXT);"
)
lock = threading.Lock()


def sql(statement, *values):
    with lock, database:
        return database.execute(statement, values).fetchall()


def payflow(method, path, body=None, bearer=SERVICE_TOKEN):
    """(status, answer, headers) of a request to payflow."""
    request = urllib.request.Request(
        PAYFLOW + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text, status, headers = answer.read(), answer.status, answer.headers
    except urllib.error.HTTPError as error:
        text, status, headers = error.read(), error.code, error.headers
    return status, json.loads(text or "null"), headers


def path_of(user_id):
    return f"/api/service/users/{urllib.parse.quote(user_id, safe='')}"


def sign_up(email):
    """A user of ours. payflow hears of it when a token is needed."""
    sql("INSERT OR IGNORE INTO users VALUES (?, ?)", str(uuid.uuid4()), email)
    ((user_id,),) = sql("SELECT id FROM users WHERE email = ?", email)
    return user_id


def token_of(user_id):
    """A token of 15 minutes for our frontend. PUT makes the user once, and keeps the address."""
    ((email,),) = sql("SELECT email FROM users WHERE id = ?", user_id)
    status, answer, _ = payflow("PUT", path_of(user_id), {"email": email})
    if status != 200:
        raise RuntimeError(answer["detail"])
    return payflow("POST", f"{path_of(user_id)}/token")[1]["access"]


def who_holds(key):
    """Our user of an API key, by payflow's id of the user; None if the key does not work."""
    status, _, headers = payflow("GET", "/api/api-keys/verify", bearer=key)
    return headers["X-User-Id"] if status == 204 else None


def is_authentic(headers, body):
    """Whether payflow signed the webhook (standardwebhooks.com; libraries exist)."""
    stamp = headers.get("webhook-timestamp", "")
    if not WEBHOOK_SECRET or not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE:
        return False
    secret = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected, each) for each in given)


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        if path in ("/", "/payments/success", "/payments/cancel"):
            return self.page("index.html", "text/html")
        if path == "/shop.js":
            return self.page("shop.js", "text/javascript")
        if path == "/config":
            return self.answer(200, {"payflow": PAYFLOW})
        if path == "/token":
            user_id = self.user_id()
            return self.answer(200, {"token": token_of(user_id)}) if user_id else self.refuse()
        if path == "/product":
            holder = who_holds(self.headers.get("Authorization", "").removeprefix("Bearer "))
            return (
                self.answer(200, {"product": "hello", "user": holder}) if holder else self.refuse()
            )
        if path == "/events":
            rows = sql("SELECT type, body FROM events ORDER BY rowid")
            return self.answer(200, [{"type": kind, **json.loads(body)} for kind, body in rows])
        return self.answer(404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/sign-up":  # a real one asks for a password
            user_id, cookie = sign_up(json.loads(body)["email"]), str(uuid.uuid4())
            sql("INSERT INTO sessions VALUES (?, ?)", cookie, user_id)
            return self.answer(200, {"id": user_id}, cookie)
        if self.path == "/webhooks/payflow":
            if not is_authentic(self.headers, body):
                return self.refuse()
            event = json.loads(body)
            # A repeat has the same id: it is stored once.
            values = (self.headers["webhook-id"], event["type"], body.decode())
            sql("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", *values)
            return self.answer(200, {})
        return self.answer(404, {})

    def do_DELETE(self):
        user_id = self.user_id()
        if self.path != "/account" or not user_id:
            return self.refuse()
        status, answer, _ = payflow("DELETE", path_of(user_id))
        if status not in (200, 404):  # a 404: an earlier request has erased it
            return self.answer(502, answer)
        sql("DELETE FROM sessions WHERE user_id = ?", user_id)
        sql("DELETE FROM users WHERE id = ?", user_id)
        return self.answer(200, {})

    def user_id(self):
        cookie = self.headers.get("Cookie", "").removeprefix("shop=")
        rows = sql("SELECT user_id FROM sessions WHERE cookie = ?", cookie)
        return rows[0][0] if rows else None

    def page(self, name, kind):
        self.send(200, (PAGES / name).read_bytes(), {"Content-Type": f"{kind}; charset=utf-8"})

    def refuse(self):
        self.answer(401, {})

    def answer(self, status, body, cookie=""):
        headers = {"Content-Type": "application/json"}
        if cookie:
            headers["Set-Cookie"] = f"shop={cookie}; HttpOnly; SameSite=Lax; Path=/"
        self.send(status, json.dumps(body).encode(), headers)

    def send(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "4000"))), Shop)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
