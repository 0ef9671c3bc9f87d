"""payflow's settings, with the other packages installed."""

from __future__ import annotations

from payflow.settings import *  # noqa: F403
from payflow.settings import INSTALLED_APPS as OURS
from payflow.settings import SILENCED_SYSTEM_CHECKS as SILENCED

INSTALLED_APPS = [
    *OURS,
    "rest_framework.authtoken",
    "knox",
    "rest_framework_api_key",
    "drf_simple_apikey",
]
ROOT_URLCONF = "benchmarks.keys.urls"
DRF_API_KEY = {
    "FERNET_SECRET": "of-the-benchmark-0123456789abcdef0123456789=",
    "ENFORCE_HTTPS": False,
}
# It ships two migrations of one number; its tables are made from its models instead.
MIGRATION_MODULES = {"drf_simple_apikey": None}
# Counted as in production, but never reached.
API_KEY_REQUESTS_PER_MINUTE = 10**9
FAILED_AUTHENTICATIONS_PER_MINUTE = 10**9
# Two apps call a user's keys `api_keys`; nothing here asks a user for them.
SILENCED_SYSTEM_CHECKS = [*SILENCED, "fields.E304", "fields.E305"]
