"""Formats of times, one module for each language: Django's own have no zone."""
