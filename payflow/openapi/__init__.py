"""The OpenAPI document: drf-spectacular's, completed by what holds for every operation."""
