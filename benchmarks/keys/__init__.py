"""Benchmark of key authentication, compared with other packages."""
