"""Compares the sandbox with Stripe's own description of its API; see `__main__`."""
