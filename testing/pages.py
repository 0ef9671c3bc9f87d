"""Every page that a customer can reach: from the routes, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from payflow.http import problems

MAINTENANCE = Path(__file__).resolve().parents[1] / "deploy" / "nginx" / "maintenance.html"
MAINTENANCE_STYLE = MAINTENANCE.with_suffix(".css")
# Begins with what machines and staff request, and what Swagger UI shows.
OTHERS = ("api", "admin/", "healthz", "readyz", "metrics")


class Visitor(Enum):
    """Who sees a page by a GET of its address."""

    SIGNED_OUT = "signed out"
    CUSTOMER = "signed in, with a payment and a key"
    WITH_FACTOR = "signed in, with a second factor"
    HALF_SIGNED_IN = "asked for the second factor"


PAGES = {
    **dict.fromkeys(
        (
            *("login", "account_signup", "account_email_verification_sent"),
            *("account_confirm_email", "account_reset_password", "account_reset_password_done"),
            *("account_reset_password_from_key", "account_reset_password_from_key_done"),
        ),
        Visitor.SIGNED_OUT,
    ),
    **dict.fromkeys(
        (
            *("home", "conversation", "orders", "order", "keys", "payment-success"),
            *("payment-cancel", "pay", "key-create", "key-reveal", "key-rotate", "key-rename"),
            *("key-delete", "account", "account_name", "account_address", "account_sessions"),
            *("account_erase", "password_change", "account_reauthenticate", "mfa_index"),
            "mfa_activate_totp",
        ),
        Visitor.CUSTOMER,
    ),
    **dict.fromkeys(
        (
            *("mfa_deactivate_totp", "mfa_view_recovery_codes", "mfa_generate_recovery_codes"),
            "mfa_reauthenticate",
        ),
        Visitor.WITH_FACTOR,
    ),
    "mfa_authenticate": Visitor.HALF_SIGNED_IN,
}
# Routes without a page of ours, and why.
NO_PAGE = {
    "logout": "a GET is refused",
    "language": "a GET is refused",
    "account_login": "the address of login",
    "account_logout": "the address of logout",
    "receipt": "Stripe's page",
    "mfa_download_recovery_codes": "a text file",
}
ERRORS = tuple(problems.ERROR_PAGES)


def routes() -> set[str]:
    """The names of all routes of customers."""
    return {pattern.name or str(pattern.pattern) for pattern in _patterns()}


def address(name: str, ids: dict[str, Any]) -> str:
    """The address of a page; `ids` has every argument that some page takes.

    The key of a mailed link is there under the name of its route.
    """
    pattern = next(each for each in _patterns() if each.name == name)
    arguments = {
        each: ids[name if each == "key" else each] for each in pattern.pattern.regex.groupindex
    }
    query = f"?session_id={ids['session_id']}" if name == "payment-success" else ""
    return reverse(name, kwargs=arguments) + query


def addresses(visitor: Visitor, ids: dict[str, Any]) -> dict[str, str]:
    return {name: address(name, ids) for name, who in PAGES.items() if who is visitor}


def _patterns() -> Iterator[URLPattern]:
    for each in get_resolver().url_patterns:
        if not str(each.pattern).startswith(OTHERS):
            yield from _below(each)


def _below(each: URLPattern | URLResolver) -> Iterator[URLPattern]:
    if isinstance(each, URLPattern):
        yield each
    else:
        for inner in each.url_patterns:
            yield from _below(inner)
