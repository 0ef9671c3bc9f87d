"""Webhook signatures.

Stripe docs: https://docs.stripe.com/webhooks#verify-manually: HMAC-SHA256 over the timestamp, a
full stop and the raw body, keyed with the whole `whsec_…` text. Only `v1` counts; in test mode
Stripe adds a `v0` that must be ignored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence


def signature_header(payload: bytes, signing_secrets: Sequence[str]) -> str:
    """The `Stripe-Signature` header: one `v1` for each valid secret."""
    # The system's time, not the account's: receivers compare it with their own clock.
    timestamp = int(time.time())
    signed = f"{timestamp}.".encode() + payload
    digests = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in signing_secrets]
    decoy = f"v0={secrets.token_hex(32)}"
    return ",".join([f"t={timestamp}", *(f"v1={digest}" for digest in digests), decoy])
