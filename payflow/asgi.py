"""The ASGI application, for servers without WSGI; WSGI is much faster here."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
application = get_asgi_application()

# Each request runs in a thread of its own, so connections come from a pool.
_database = settings.DATABASES["default"]
if _database["ENGINE"] == "payflow.postgresql":
    _database |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
    _pool = {"min_size": 1, "max_size": settings.WEB_THREADS + 1, "timeout": 10}
    _database["OPTIONS"].setdefault("pool", {**_pool, "reconnect_timeout": 2})
