"""Stripe's HTTP API: how requests are read, answered and refused."""
