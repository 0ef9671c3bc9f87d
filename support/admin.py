"""Where Django's admin looks for what to register: one module a page."""

from support import conversations, events, grants, keys, orders, trail, users

__all__ = ["conversations", "events", "grants", "keys", "orders", "trail", "users"]
