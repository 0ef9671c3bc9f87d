"""Sessions of browsers in the database, each with its user (`SESSION_ENGINE`).

Django's own table does not say whose a session is, so that a user's could only be found by reading
everybody's. This is the extension that Django's documentation describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils.crypto import salted_hmac


class BrowserSession(AbstractBaseSession):
    """The user is null before somebody signs in. `session_list.note_use` writes what follows it."""

    # Whether it is the session of the request that lists it; not stored.
    is_this = False

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="sessions"
    )
    # Words of `accounts.devices`; empty: not recognised.
    browser = models.CharField(max_length=20, db_default="")
    system = models.CharField(max_length=20, db_default="")
    network = models.GenericIPAddressField(null=True)
    used_at = models.DateTimeField(null=True)

    class Meta(AbstractBaseSession.Meta):
        db_table = "browser_sessions"

    def save(self, *, force_update: bool = False, **kwargs: Any) -> None:
        if force_update:
            kwargs["update_fields"] = ("session_data", "expire_date", "user")
        super().save(force_update=force_update, **kwargs)

    @classmethod
    def get_session_store_class(cls) -> type[SessionStore]:
        return SessionStore

    @property
    def handle(self) -> str:
        """What a page calls the session: its key would sign in whoever reads it."""
        return salted_hmac("accounts.sessions", self.session_key).hexdigest()[:32]


class SessionStore(db.SessionStore):
    # When the use of this session was noted last.
    noted_at: datetime | None = None

    @classmethod
    def get_model_class(cls) -> type[BrowserSession]:
        return BrowserSession

    def create_model_instance(self, data: Mapping[str, Any]) -> BrowserSession:
        session = cast("BrowserSession", super().create_model_instance(dict(data)))
        session.user_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        return session

    def _get_session_from_db(self) -> BrowserSession | None:
        session: BrowserSession | None = super()._get_session_from_db()  # type: ignore[misc]
        self.noted_at = session.used_at if session else None
        return session
