"""The models registered with Django's admin, one module each."""

from support.admin import (
    audit_log,
    checkout,
    conversations,
    events,
    grants,
    keys,
    notifications,
    orders,
    service_tokens,
    users,
)

__all__ = [
    "audit_log",
    "checkout",
    "conversations",
    "events",
    "grants",
    "keys",
    "notifications",
    "orders",
    "service_tokens",
    "users",
]
