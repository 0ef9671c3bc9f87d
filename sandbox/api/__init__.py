"""Stripe's HTTP API: routing, authentication, parameters, idempotency, pagination, resources."""
