"""The root of the API. Every other route is in the `urls.py` of its app and is found by name."""

API_ROOT = "/api"


def is_api(path: str) -> bool:
    return path == API_ROOT or path.startswith(f"{API_ROOT}/")
