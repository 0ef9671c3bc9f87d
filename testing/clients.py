"""Clients of the API."""

from __future__ import annotations

from rest_framework.test import APIClient

from accounts import service_tokens


def bearer(token: str) -> APIClient:
    """A client that sends this API key or JWT."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def backend_client(name: str = "backend") -> APIClient:
    """A client that sends a new service token of this name."""
    return bearer(service_tokens.issue(name))
