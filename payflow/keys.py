"""Where keys meet payments: what a new key hangs on, and the order that follows a rotation.

It is the `apikeys.issuing.Issuer` of the API and of the pages. Locks are taken in the one order:
order, then user, then keys.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from apikeys import services
from apikeys.models import ApiKey
from billing.models import Order


def has_paid(user_id: int | None) -> bool:
    """Had a payment completed, whatever became of it later."""
    return Order.objects.owned_by(user_id).completed().exists()


@sensitive_variables("made")
@transaction.atomic
def create(*, user_id: int | None, name: str, expires_at: datetime | None) -> tuple[ApiKey, str]:
    """Make a key under the newest payment that stands. Raises NotEntitled besides."""
    order = _standing_order(user_id)
    if order is None or order.api_key is None:
        raise services.NotEntitled
    return services.create(
        user_id=order.user_id, name=name, expires_at=expires_at, grant=order.api_key
    )


@sensitive_variables("successor", "secret")
@transaction.atomic
def rotate(*, user_id: int | None, key_id: int, grace: timedelta) -> tuple[ApiKey, str]:
    """Rotate a key; the order it hangs on goes over to its successor."""
    order = Order.objects.owned_by(user_id).filter(api_key_id=key_id).locked().first()
    successor, secret = services.rotate(user_id=user_id, key_id=key_id, grace=grace)
    if order is not None:
        order.api_key = successor
        order.save(update_fields=["api_key", "updated_at"])
    return successor, secret


def _standing_order(user_id: int | None) -> Order | None:
    """The newest order whose money is still ours and undisputed, locked.

    What a refund or a dispute changes is on the order itself, so the lock settles it.
    """
    paid = Order.objects.owned_by(user_id).good().filter(api_key__isnull=False)
    for order_id in paid.order_by("-pk").values_list("pk", flat=True):
        order = paid.filter(pk=order_id).locked().first()
        if order is not None and _stands(order):
            return order
    return None


def _stands(order: Order) -> bool:
    suspended = order.api_key is None or order.api_key.suspended_at is not None
    return order.is_good and not (order.is_disputed or suspended)
