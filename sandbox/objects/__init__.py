"""Builders of Stripe's objects, with all fields of the pinned API version.

The version is `2026-10-28.endive`. Stripe docs: https://docs.stripe.com/api
"""
