"""Default configuration of gunicorn; command-line options override it."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

# Refuses a bad environment before any worker starts, and reads the .env file.
from payflow import settings

bind = f"0.0.0.0:{settings.PORT}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
# Each thread keeps a database connection.
threads = settings.WEB_THREADS
# Longer than the slowest call to Stripe: three tries of 17 seconds, and pauses.
timeout = 60
graceful_timeout = 30
# Its file is in the home folder: two servers on one machine would share it.
control_socket_disable = True
# gunicorn's own logger does not redact, and quotes requests that it can't parse.
logger_class = "payflow.logs.gunicorn_logging.GunicornLogger"
accesslog = "-"
# The path without its query string, which may contain a session id.
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms'


def post_worker_init(worker: Any) -> None:
    """Freeze the preloaded objects: they live as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
