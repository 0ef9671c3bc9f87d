"""Why a service of this app refuses a call, and the limits that the refusals name."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

MAX_LIVE_KEYS = 20
# Rotation must work for an owner with MAX_LIVE_KEYS keys, so rotated keys in their grace period
# have a limit of their own: docs/decisions/0010.
MAX_ROTATED_KEYS = MAX_LIVE_KEYS


class ApiKeyError(Exception):
    """The call was refused and changed nothing. `code` and `detail` are for the user."""

    code = "refused"
    detail: str | Promise = ""


class KeyNotFound(ApiKeyError):
    """The user has no such key, or it is revoked."""

    code = "not_found"
    detail = _("You have no such key.")


class AlreadyRevealed(ApiKeyError):
    code = "already_revealed"
    detail = _("This key was shown before. It cannot be shown again.")


class AlreadyCreated(ApiKeyError):
    """A repeat of a request whose key was shown, too late or after that key has ended."""

    code = "already_created"
    detail = _("This request has created a key, which was shown. It cannot be shown again.")


class DifferentRequest(ApiKeyError):
    """The token was used before, for a request with another body."""

    code = "idempotency_key_reused"
    detail = _("This Idempotency-Key or form was used before, with other values.")


class RevealedConcurrently(ApiKeyError):
    """The key was revealed after the delete was requested."""

    code = "revealed_meanwhile"
    detail = _("This key was revealed at the same time. Delete it again if you still want to.")


class AlreadyRotated(ApiKeyError):
    code = "already_rotated"
    detail = _("This key already has a successor. Rotate that one.")


class NotUsable(ApiKeyError):
    """The key or its grant is suspended, or the key has expired."""

    code = "key_not_usable"
    detail = _("This key is suspended or has expired.")


class NoUsableGrant(NotUsable):
    """All grants of the user are suspended or stopped."""

    detail = _(
        "Your payment is disputed, or support has stopped its keys. You can't create a key now."
    )


class TooManyKeys(ApiKeyError):
    code = "too_many_keys"
    detail = format_lazy(
        _("You have {number} live keys, the maximum. Delete one first."), number=MAX_LIVE_KEYS
    )


class TooManyRotated(TooManyKeys):
    detail = format_lazy(
        _("{number} of your keys have a successor and still work. Delete one first."),
        number=MAX_ROTATED_KEYS,
    )


class NotEntitled(ApiKeyError):
    """The user has no grant, or all of them are revoked."""

    code = "payment_required"
    detail = _("A new key needs a completed payment that was not refunded.")
