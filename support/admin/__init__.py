"""The models registered with Django's admin, one module each."""

from support.admin import audit_log, conversations, events, grants, keys, orders, users

__all__ = ["audit_log", "conversations", "events", "grants", "keys", "orders", "users"]
