"""How gunicorn serves payflow when the command line says nothing else."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

# Refuses a bad environment in one line before there is any worker, and takes in the .env file.
from payflow import settings

bind = f"0.0.0.0:{settings.PORT}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
# Each keeps a database connection.
threads = settings.WEB_THREADS
# Longer than the slowest call to Stripe (three tries of 17 seconds and their pauses).
timeout = 60
graceful_timeout = 30
# It would be a file in the home folder that two servers on one machine fight over.
control_socket_disable = True
# Its own handlers know of no redaction, and it quotes what it could not read.
logger_class = "payflow.logs.gunicorn_logging.GunicornLogger"
accesslog = "-"
# The path without its query string: a session id has no business in an access log.
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms'


def post_worker_init(worker: Any) -> None:
    """What is loaded by now lives as long as the process: it need not be searched for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
