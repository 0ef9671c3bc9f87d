"""A user's own sessions: note that one is used, list them, end them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import cast

from allauth.account.adapter import get_adapter
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.db import DatabaseError
from django.db.models import F
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts import devices
from accounts.models import User
from accounts.sessions import BrowserSession, SessionStore

logger = logging.getLogger(__name__)

# A used session is written to so often at most.
NOTE_EVERY = timedelta(minutes=10)
MAX_LISTED = 100

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def note_use(get_response: GetResponse) -> GetResponse:
    """Write down when, from where and with which browser a signed-in session is used."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return response  # perhaps because no session can be read
        session = cast("SessionStore", request.session)
        if session.accessed and session.session_key and SESSION_KEY in session:
            noted_at = session.noted_at
            if noted_at is None or timezone.now() - noted_at >= NOTE_EVERY:
                _note(request)
        return response

    return middleware


def _note(request: HttpRequest) -> None:
    browser, system = devices.recognise(request.headers.get("User-Agent", ""))
    row = BrowserSession.objects.filter(pk=request.session.session_key)
    try:
        row.update(
            browser=browser,
            system=system,
            network=get_adapter().get_client_ip(request),
            used_at=timezone.now(),
        )
    except DatabaseError as error:  # a database that can only be read still shows pages
        logger.warning("The use of a session was not noted", exc_info=error)


def sessions_of(user: User, *, current: str | None) -> list[BrowserSession]:
    """The sessions that still sign the user in: first the one with the key `current`.

    Then the others by their last use, MAX_LISTED at most.
    """
    live = user.sessions.filter(expire_date__gt=timezone.now())
    rows = live.order_by(F("used_at").desc(nulls_last=True), "pk")[:MAX_LISTED]
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    listed = [row for row in rows if _has_hash(row, hashes)]
    for row in listed:
        row.is_this = row.pk == current
    return sorted(listed, key=lambda row: not row.is_this)


def _has_hash(session: BrowserSession, hashes: tuple[str, ...]) -> bool:
    """A changed password ends the sessions that were opened with the one before."""
    stored = str(session.get_decoded().get(HASH_SESSION_KEY, ""))
    return any(constant_time_compare(stored, each) for each in hashes)


def end(user: User, handle: str) -> None:
    for session in user.sessions.only("session_key"):
        if constant_time_compare(session.handle, handle):
            session.delete()


def end_all(user: User, *, but: str | None = None) -> None:
    """End all sessions of the user, except that with the key `but`."""
    user.sessions.exclude(pk=but).delete()
