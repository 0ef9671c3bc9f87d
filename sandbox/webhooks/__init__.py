"""Webhooks: events, endpoints, signatures, delivery with retries, `stripe listen`."""
