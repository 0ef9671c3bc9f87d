"""The kinds that payments, keys and staff cause."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrPromise

from notifications.kinds import Kind, register

# Who pays again at once needs no mail: see billing.mails.
DECLINED_AFTER = timedelta(hours=1)


def _of_keys(name: str, subject: StrPromise, *, is_event: bool = True) -> Kind:
    return Kind(name, subject, is_event=is_event, link="/keys", link_label=_("Your API keys"))


register(
    Kind(
        "order.completed",
        _("Payment received (order %(orderId)s): your API key is ready"),
        is_event=True,
        link="/keys",
        link_label=_("Reveal your API key"),
    ),
    Kind(
        "order.duplicate",
        _("You paid twice (order %(orderId)s)"),
        is_event=True,
    ),
    Kind(
        "order.failed",
        _("Your payment failed (order %(orderId)s)"),
        is_event=True,
        link="/",
        link_label=_("Pay again"),
    ),
    Kind(
        "order.refunded",
        _("Refund of %(refund)s (order %(orderId)s)"),
        is_event=True,
    ),
    Kind(
        "order.refund_failed",
        _("Your refund could not be paid out (order %(orderId)s)"),
        is_event=True,
    ),
    Kind(
        "payment.pending",
        _("Your payment is on its way (order %(orderId)s)"),
    ),
    Kind(
        "payment.declined",
        _("Your payment did not go through"),
        delay=DECLINED_AFTER,
        link="/",
        link_label=_("Pay again"),
    ),
    Kind("dispute.opened", _("Your payment is disputed (order %(orderId)s)"), is_event=True),
    Kind("dispute.closed", _("The dispute is decided (order %(orderId)s)"), is_event=True),
    Kind("key.issued", is_event=True),
    Kind("key.revealed", is_event=True),
    _of_keys("key.rotated", _("Your API key was rotated")),
    _of_keys("key.revoked", _("Your API key was revoked")),
    _of_keys("key.suspended", _("Your API key is suspended")),
    _of_keys("key.restored", _("Your API key works again")),
    _of_keys("key.waiting", _("Your API key waits for you"), is_event=False),
    _of_keys("key.expiring", _("Your API key ends soon"), is_event=False),
    Kind("staff.signed_in", _("New sign-in to the support desk")),
)
