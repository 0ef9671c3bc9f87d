"""Clients of the API."""

from __future__ import annotations

from rest_framework.test import APIClient


def bearer(token: str) -> APIClient:
    """A client that sends this API key or JWT."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client
