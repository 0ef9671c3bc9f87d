"""A local Stripe: Checkout, test cards and signed webhooks, offline, for development and tests.

It imports nothing of the application, and the application knows it only by `STRIPE_API_BASE`.
"""
