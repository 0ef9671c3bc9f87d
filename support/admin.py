"""Where Django's admin looks for what to register: one module a page."""

from support import conversations, events, keys, orders, trail, users

__all__ = ["conversations", "events", "keys", "orders", "trail", "users"]
