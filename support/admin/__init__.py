"""Where Django's admin looks for what to register: one module a page."""

from support.admin import audit_log, conversations, events, grants, keys, orders, users

__all__ = ["audit_log", "conversations", "events", "grants", "keys", "orders", "users"]
