"""How gunicorn serves payflow when the command line says nothing else."""

import os

bind = f"0.0.0.0:{os.environ.get('PORT', '3000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
# The settings size each process's database pool by the same variable.
threads = int(os.environ.get("WEB_THREADS", "4"))
# Longer than the slowest call to Stripe (three tries of 17 seconds and their pauses).
timeout = 60
graceful_timeout = 30
accesslog = "-"
# The path without its query string: a session id has no business in an access log.
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms'
