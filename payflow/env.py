"""Environment variables: typed, checked, and refused with one line that names the variable.

A refused value is never repeated: it may be a secret.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

import dj_database_url
import environ
from django.core.exceptions import ImproperlyConfigured
from redis.connection import ConnectionPool
from redis.exceptions import RedisError

from apikeys import key_forms

MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: an HS256 key is at least as long as its hash


class Form(NamedTuple):
    """What a value must look like: a regular expression, and the same in words."""

    pattern: str
    words: str


NUMBER = Form(r"[0-9]{1,9}", "a whole number")
HOST = Form(
    r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]",
    "host names like pay.example.com, without scheme, port and path",
)
STRIPE_KEY = Form(r"[sr]k_(test|live)_[A-Za-z0-9_]+", "a secret key like sk_test_… or rk_live_…")
PUBLISHABLE_KEY = Form(r"pk_(test|live)_[A-Za-z0-9_]+", "a key like pk_test_… or pk_live_…")
SIGNING_SECRET = Form(r"whsec_[A-Za-z0-9+/=_-]+", "signing secrets like whsec_…")
PRICE = Form(r"price_[A-Za-z0-9_]+", "the id of a price, like price_…")
TAG = Form(r"[A-Za-z0-9_.-]{1,64}", "up to 64 letters, digits, hyphens, dots and underscores")

# A quoted value, or one with a comment: the tool that set it kept what a shell would remove.
_NOT_PLAIN = re.compile(r"(['\"]).*\1|.*\s#.*", re.DOTALL)


def refuse(message: str) -> NoReturn:
    """Stop the process with one line on stderr."""
    sys.stderr.write(f"payflow: {message}\n")
    raise SystemExit(3)


class Environment(environ.Env):  # type: ignore[misc]  # it has no types
    """Has a copy of the variables: `manage.py serve` starts new workers with the unchanged ones."""


def read_environment(env_file: Path | None) -> Environment:
    """Return the process environment; `env_file` adds variables and overrides none."""
    Environment.ENVIRON = dict(os.environ)
    if env_file is not None and env_file.is_file():
        Environment.read_env(str(env_file))
    return Environment()


class Configuration:
    """Typed access to the environment; a bad value stops the process.

    `fallback` holds values for variables that are missing (development secrets); it is empty
    unless DEBUG is on.
    """

    def __init__(self, env: environ.Env, fallback: Mapping[str, str]) -> None:
        self._env = env
        self._fallback = fallback

    def text(self, name: str, default: str = "") -> str:
        # Not env.str(), which reads a value that begins with "$" as the name of a variable.
        value = str(self._env.ENVIRON.get(name, "")).strip()
        if _NOT_PLAIN.fullmatch(value):
            refuse(f"{name} is quoted or ends in a comment: give the value alone.")
        return value or self._fallback.get(name, default)

    def items(self, name: str, default: str = "") -> list[str]:
        return [item.strip() for item in self.text(name, default).split(",") if item.strip()]

    def integer(self, name: str, default: int, *, least: int = 0, most: int = 10**9) -> int:
        number = int(_checked(name, self.text(name, str(default)), NUMBER))
        if not least <= number <= most:
            refuse(f"{name} must be a number from {least} to {most}.")
        return number

    def required(self, name: str) -> str:
        return self.text(name) or refuse(f"{name} is missing or empty: set it in the environment.")

    def secret(self, name: str, *, other_than: str = "") -> str:
        """A secret of ours; `other_than` is the name of a variable with another one."""
        value = _long_enough(name, self.required(name))
        if other_than and value == self.text(other_than):
            refuse(f"{name} must differ from {other_than}.")
        return value

    def former_secrets(self, name: str) -> list[str]:
        return [_long_enough(name, value) for value in self.items(name)]

    def hosts(self, name: str, default: str) -> list[str]:
        return [_checked(name, host, HOST) for host in self.items(name, default)]

    def webhook_secrets(self, name: str) -> list[str]:
        """The secrets that may have signed an event: several during a rotation."""
        self.required(name)
        found = self.items(name) or refuse(f"{name} contains no secret: set at least one.")
        return [_checked(name, secret, SIGNING_SECRET) for secret in found]

    def stripe_key(self, name: str) -> str:
        return _checked(name, self.required(name), STRIPE_KEY)

    def publishable_key(self, name: str, *, live: bool) -> str:
        value = self.text(name)
        if value and _checked(name, value, PUBLISHABLE_KEY).startswith("pk_live_") is not live:
            refuse(f"{name} and STRIPE_SECRET_KEY are not of the same mode (live or test).")
        return value

    def prices(self, premium: str, tiers: str) -> dict[str, str]:
        """Stripe price id by tier; `premium` and `tiers` are the names of variables."""
        found = {"premium": _checked(premium, self.required(premium), PRICE)}
        for pair in self.items(tiers):
            tier, separator, price = (part.strip() for part in pair.partition("="))
            if not (tier and separator and price):
                refuse(f"{tiers} must read like basic=price_1,pro=price_2.")
            if found.setdefault(tier, _checked(tiers, price, PRICE)) != price:
                refuse(f"{tiers} names a second price for the tier {tier}.")
        return found

    def folder(self, name: str) -> Path | None:
        """An absolute path of a folder; None if unset."""
        value = self.text(name)
        if not value:
            return None
        if not (Path(value).is_absolute() and Path(value).is_dir()):
            refuse(f"{name} must be the absolute path of a folder.")
        return Path(value)

    def key_pattern(self, name: str) -> str:
        value = self.text(name)
        try:
            key_forms.check(value)
        except key_forms.UnsafePattern as reason:
            refuse(f"{name} can't be used: {reason} (see .env.example).")
        return value

    def tag(self, name: str) -> str:
        value = self.text(name)
        return value and _checked(name, value, TAG)

    def url(self, name: str, default: str = "") -> str:
        """An absolute http(s) URL without its trailing slash; empty if unset."""
        value = self.text(name, default).rstrip("/")
        try:
            parts = urlsplit(value)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname)
            valid = valid and not parts.query and not parts.fragment
        except ValueError:
            valid = False
        if value and not valid:
            refuse(f"{name} must be an absolute http or https URL.")
        return value

    def origins(self, name: str) -> list[str]:
        """Origins as browsers send them: scheme, host and port only."""
        found = self.items(name)
        for origin in found:
            if not origin.startswith(("http://", "https://")) or origin_of(origin) != origin:
                refuse(f"{name} must list origins like https://app.example.com.")
        return found

    def choice(self, name: str, default: str, *others: str) -> str:
        value = self.text(name, default)
        if value not in (default, *others):
            refuse(f"{name} must be {' or '.join((default, *others))}.")
        return value

    def log_level(self, name: str) -> str:
        level = self.text(name, "INFO").upper()
        if level not in logging.getLevelNamesMapping():
            refuse(f"{name} must be a level of Python's logging, like INFO or DEBUG.")
        return level

    def database(self, name: str, default: str) -> dj_database_url.DBConfig:
        try:
            return dj_database_url.parse(self.text(name, default))
        except (ValueError, KeyError):  # the error's text may contain the password
            refuse(f"{name} is not a database URL that dj-database-url can read.")

    def optional_database(self, name: str) -> dj_database_url.DBConfig | None:
        return self.database(name, "") if self.text(name) else None

    def email(self, name: str) -> dict[str, Any]:
        """Django's EMAIL_… settings; those of the console if unset."""
        value = self.text(name, "consolemail://")
        try:
            found = dict(environ.Env.email_url_config(value))
        except (ValueError, KeyError, ImproperlyConfigured):  # the text may contain the password
            refuse(f"{name} must read like smtp+tls://user:password@mail.example.com:587.")
        is_smtp = value.startswith("smtp")
        if is_smtp and not found["EMAIL_HOST"]:
            refuse(f"{name} names no host.")
        if is_smtp and not found["EMAIL_PORT"]:
            secure = found.get("EMAIL_USE_TLS") and 587
            found["EMAIL_PORT"] = 465 if found.get("EMAIL_USE_SSL") else secure or 25
        return found

    def address(self, name: str, default: str) -> str:
        """An email address, with or without a name: `Payflow <payflow@example.com>`."""
        value = self.text(name, default)
        local, separator, domain = parseaddr(value)[1].rpartition("@")
        if not (local and separator and domain) or not value.isprintable():
            refuse(f"{name} must be an address like Payflow <payflow@example.com>.")
        return value

    def redis(self, name: str) -> str:
        """One Redis URL, or several separated as Django's cache expects; empty if unset."""
        value = self.text(name)
        if value and not all(map(_is_redis, re.split("[;,]", value))):
            refuse(f"{name} must read like redis://host:6379/0, rediss://host or unix:///path.")
        return value


def _checked(name: str, value: str, form: Form) -> str:
    if not re.fullmatch(form.pattern, value, re.ASCII):
        refuse(f"{name} must be {form.words}.")
    return value


def _long_enough(name: str, secret: str) -> str:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        refuse(f"{name} is too short: it needs at least {MIN_SECRET_BYTES} bytes.")
    return secret


def _is_redis(url: str) -> bool:
    """Whether redis-py accepts the URL, and it names a host or a socket."""
    try:
        parts = urlsplit(url)
        ConnectionPool.from_url(url).make_connection()  # connects on first use only
    except (ValueError, TypeError, RedisError):  # the error's text may contain the password
        return False
    return bool(parts.path if parts.scheme == "unix" else parts.hostname)


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def debug_is_on(env: environ.Env) -> bool:
    value = str(env.ENVIRON.get("DEBUG", "")).strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("", "0", "false", "no", "off"):
        return False
    refuse("DEBUG must be on or off.")


def env_file(base_dir: Path) -> Path | None:
    """The file that ENV_FILE names, by default `.env` beside manage.py; None if it is empty."""
    name = os.environ.get("ENV_FILE")
    if name is None:
        return base_dir / ".env"
    # In this order: is_file() raises an error where access() is False.
    if name and not (os.access(name, os.R_OK) and Path(name).is_file()):
        refuse("ENV_FILE names a file that is missing or can't be read.")
    return Path(name) if name else None
