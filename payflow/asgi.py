"""The ASGI application, for servers that speak nothing else; WSGI is much faster here."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
application = get_asgi_application()
