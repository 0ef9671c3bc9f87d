"""A local Stripe emulator for development and tests: Checkout, test cards, signed webhooks.

It imports nothing from the application; the application reaches it through `STRIPE_API_BASE`.
"""

__version__ = "1.0.0"
