"""How gunicorn serves payflow when the command line says nothing else."""

import importlib
import os
from typing import Any

bind = f"0.0.0.0:{os.environ.get('PORT', '3000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
# The settings size each process's database pool by the same variable.
threads = int(os.environ.get("WEB_THREADS", "4"))
# Longer than the slowest call to Stripe (three tries of 17 seconds and their pauses).
timeout = 60
graceful_timeout = 30
# It would be a file in the home folder that two servers on one machine fight over.
control_socket_disable = True
accesslog = "-"
# The path without its query string: a session id has no business in an access log.
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms'


def on_starting(server: Any) -> None:
    """Refuse a bad environment in the master, in one line, before there is any worker."""
    importlib.import_module("payflow.settings")
