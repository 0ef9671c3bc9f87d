"""Payment links: whose payments count, and whether a paid session is as we asked for it."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from billing.models import CheckoutLink, recorded_since
from billing.stripe import client, objects
from billing.stripe.objects import CheckoutSession, Reference

logger = logging.getLogger(__name__)

PAGE_SIZE = 1000


class NotOurs(Exception):
    """The payment is another deployment's, on the same Stripe account."""


def new_id(user_id: int, idempotency_key: str | None) -> str:
    """A link's id: random, or computed from the user's Idempotency-Key."""
    if idempotency_key is None:
        return f"link_{secrets.token_hex(16)}"
    digest = hashlib.sha256(f"{user_id}:{idempotency_key}".encode()).hexdigest()
    return f"link_{digest[:32]}"


def build(reference: Reference, session_id: str, answer: client.Json) -> CheckoutLink:
    """The link, not saved yet, of the session in Stripe's answer. Raises client.StripeFailed."""
    try:
        price = objects.parse_price(answer)
    except ValueError as error:
        raise client.StripeFailed("create a Checkout Session") from error
    return CheckoutLink(
        link_id=reference.link_id,
        stripe_session_id=session_id,
        user_id=reference.user_id,
        conversation_id=reference.conversation_id,
        tier=reference.tier,
        stripe_price_id=settings.STRIPE_PRICES[reference.tier],
        amount_cents=price.amount_cents,
        currency=price.currency,
        created_at=objects.time_of(answer, "created") or timezone.now(),
        expires_at=objects.time_of(answer, "expires_at"),
    )


def save(link: CheckoutLink) -> None:
    """Save a new link, unless a concurrent request with the same Idempotency-Key has saved it.

    The caller has locked its conversation. Raises client.StripeFailed.
    """
    session_id = link.stripe_session_id
    same = CheckoutLink.objects.filter(Q(link_id=link.link_id) | Q(stripe_session_id=session_id))
    known = same.first()
    if known is None:
        link.save()
    elif known.link_id != link.link_id:
        logger.error("Stripe answered with session %s, which another link has", session_id)
        raise client.StripeFailed("create a Checkout Session")
    elif known.stripe_session_id != session_id:
        raise client.IdempotencyKeyInUse("create a Checkout Session")


def check_deployment(reference: Reference, session_id: str = "") -> None:
    """Raise NotOurs for another deployment's tag, and without a tag unless the link is known.

    Without STRIPE_DEPLOYMENT, tags are not compared.
    """
    own = settings.STRIPE_DEPLOYMENT
    if not own or reference.deployment == own:
        return
    known = Q(stripe_session_id=session_id) | Q(link_id=reference.link_id)
    if reference.deployment or not CheckoutLink.objects.filter(known).exists():
        raise NotOurs("not ours: of another deployment")


def close(session_id: str) -> CheckoutLink | None:
    """Close the session's link and return it; None if this server made no such session."""
    links = CheckoutLink.objects.filter(stripe_session_id=session_id)
    links.open().update(closed_at=timezone.now())
    return links.first()


def needs_review(session: CheckoutSession, link: CheckoutLink | None) -> bool:
    """Whether a paid session is not as this server made it; unknown amounts are not compared.

    Links can't be computed from the event log: a session that is older than this database is not
    judged. billing.fast_path has the same rule in SQL.
    """
    if link is None:
        since = recorded_since()
        return not (session.created_at and since and session.created_at < since)
    if link.conversation_id != session.reference.conversation_id:
        return True
    price = session.price
    if link.amount_cents is None or price.amount_cents is None:
        return False
    return (link.amount_cents, link.currency) != (price.amount_cents, price.currency)


def is_of_another_link(
    reference: Reference, at: datetime | None, current_session_id: str | None
) -> bool:
    """Whether an attempt that failed `at` was made by another link than the current session's.

    The link's id in its metadata decides. Without a known id, the attempt is an older link's if
    Stripe made the current one later; Stripe's times are whole seconds, and an equal one counts as
    not later.
    """
    own = CheckoutLink.objects.filter(link_id=reference.link_id).first()
    if own is not None:
        return own.stripe_session_id != current_session_id
    current = CheckoutLink.objects.filter(stripe_session_id=current_session_id).first()
    return current is not None and at is not None and current.created_at > at


def open_sessions(*, before: datetime) -> Iterator[str]:
    """The sessions of all open links made before this time, replaced ones too."""
    after = 0
    while True:
        links = CheckoutLink.objects.open().filter(pk__gt=after, created_at__lt=before)
        rows = list(links.order_by("pk").values_list("pk", "stripe_session_id")[:PAGE_SIZE])
        yield from (session_id for _, session_id in rows)
        if len(rows) < PAGE_SIZE:
            return
        after = rows[-1][0]
