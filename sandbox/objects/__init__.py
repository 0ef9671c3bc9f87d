"""How Stripe's objects look: one builder for each, with the full field set of the pinned version.

The sets are those of `2026-10-28.endive`. Stripe docs: https://docs.stripe.com/api
"""
