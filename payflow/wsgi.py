"""The WSGI application, which `manage.py serve` serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payflow.settings")
application = get_wsgi_application()
