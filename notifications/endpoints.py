"""Endpoints that get events: add, replace the secret, disable, enable."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from notifications import encryption, signatures
from notifications.models import Delivery, Endpoint

MAX_URL = 500
DISABLED_BY_STAFF = "Staff disabled it."
# A replaced secret signs beside the new one for so long.
BOTH_SIGN_FOR = timedelta(days=1)
_PURPOSE = "webhook secrets"


class RefusedUrl(ValueError):
    """The text says why."""


class Target(NamedTuple):
    """The parts of an endpoint's URL."""

    is_tls: bool
    host: str
    port: int
    path: str


def target_of(url: str) -> Target:
    """Raises RefusedUrl. Whether the host is a public one is checked before each request."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RefusedUrl("This is not a URL.") from None
    allowed = ("https", "http") if settings.EVENTS_TO_PRIVATE_NETWORKS else ("https",)
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise RefusedUrl("It must be a URL of at most 500 printable ASCII characters.")
    if parts.scheme not in allowed or not parts.hostname:
        raise RefusedUrl("It must be an https URL.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise RefusedUrl("It must have no user, password or fragment.")
    is_tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(is_tls, parts.hostname, port or (443 if is_tls else 80), path)


def add(url: str) -> tuple[Endpoint, str]:
    """A new endpoint and its secret. It gets the events from now on. Raises RefusedUrl."""
    target_of(url)
    secret = signatures.new_secret()
    return Endpoint.objects.create(url=url, secret=_encrypted(secret)), secret


def secrets_of(endpoint: Endpoint) -> list[str]:
    """The secrets that sign, the current one first."""
    stored = [endpoint.secret]
    until = endpoint.previous_secret_until
    if endpoint.previous_secret and until is not None and until > timezone.now():
        stored.append(endpoint.previous_secret)
    return [encryption.decrypt(_PURPOSE, each) for each in stored]


@transaction.atomic
def replace_secret(endpoint_id: int) -> str:
    """A new secret; the former one signs too for BOTH_SIGN_FOR. Raises Endpoint.DoesNotExist."""
    endpoint = Endpoint.objects.locked().get(pk=endpoint_id)
    secret = signatures.new_secret()
    endpoint.previous_secret, endpoint.secret = endpoint.secret, _encrypted(secret)
    endpoint.previous_secret_until = timezone.now() + BOTH_SIGN_FOR
    endpoint.save(update_fields=["secret", "previous_secret", "previous_secret_until"])
    return secret


@transaction.atomic
def disable(endpoint_id: int, reason: str) -> bool:
    """Send it nothing more. What waits for it is kept. False if it was disabled already."""
    endpoint = Endpoint.objects.locked().get(pk=endpoint_id)
    if endpoint.disabled_at is not None:
        return False
    endpoint.disabled_at, endpoint.disabled_reason = timezone.now(), reason
    endpoint.save(update_fields=["disabled_at", "disabled_reason"])
    return True


@transaction.atomic
def enable(endpoint_id: int) -> bool:
    """Send what waits, and what comes. False if it was not disabled."""
    endpoint = Endpoint.objects.locked().get(pk=endpoint_id)
    if endpoint.disabled_at is None:
        return False
    endpoint.disabled_at, endpoint.disabled_reason, endpoint.failing_since = None, "", None
    endpoint.save(update_fields=["disabled_at", "disabled_reason", "failing_since"])
    Delivery.objects.waiting().filter(endpoint=endpoint).update(due_at=timezone.now())
    return True


def reencrypt() -> int:
    """Encrypt under SECRET_KEY what was encrypted under one that it replaced; return how many."""
    changed = 0
    for endpoint in Endpoint.objects.all():
        for name in ("secret", "previous_secret"):
            stored = getattr(endpoint, name)
            renewed = encryption.reencrypted(_PURPOSE, stored) if stored else None
            # Only if it is still the one that was read: it may be replaced meanwhile.
            own = Endpoint.objects.filter(pk=endpoint.pk, **{name: stored})
            changed += own.update(**{name: renewed}) if renewed else 0
    return changed


def _encrypted(secret: str) -> str:
    return encryption.encrypt(_PURPOSE, secret)
