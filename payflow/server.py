"""The production server: granian, as `manage.py serve` runs it.

granian's own listener is one socket for each worker (SO_REUSEPORT): a second server could use the
same port without an error, and connections that wait for a worker are reset when it is replaced.
Here all workers share one socket, which outlives each of them. Workers are fresh interpreters
(spawn), so that a reload finds new code and a new .env file.
"""

from __future__ import annotations

import copy
import gc
import importlib
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, cast

from granian import _signals
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from payflow.drain import Drain, block_signals

# The logger that granian's own messages go to.
logger = logging.getLogger("_granian")

# Milliseconds to send the headers of a request, and for a connection between two requests. A proxy
# must close its idle connections earlier (deploy/nginx), or it meets one that is being closed.
HEADER_READ_TIMEOUT = 15_000
# Seconds for running requests to end, longer than the slowest call to Stripe.
GRACEFUL_TIMEOUT = 60
# Seconds between the start of a worker and the end of the one it replaces.
RESPAWN_INTERVAL = 3.5
# Threads of a worker that read requests and send answers. As many as connections, so that slow
# clients stop nobody; payflow.slots says how many of them run the application at once.
MAX_CONNECTIONS = 512
BACKLOG = 1024
ROOT = Path(__file__).resolve().parents[1]
# Where prometheus_client keeps the counts of all workers.
METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


class Server(MPServer):
    """granian with one socket for all workers, and a reload that is checked first."""

    def _init_shared_socket(self) -> None:
        # Unused here: granian's description of sockets that workers open themselves.
        self._ssp = self._shd = None
        self._sso = listen(self.bind_addr, self.bind_port)

    def serve(self, *target: Any, **options: Any) -> None:
        # Not MPServer's own, which advises against many threads.
        super(MPServer, self).serve(*target, **options)

    def _reload(self, *workers: Any) -> None:
        if _starts():
            super()._reload(*workers)  # type: ignore[no-untyped-call]  # it has no types
        else:
            self.reload_signal = False
            self.main_loop_interrupt.clear()
            logger.error("Not reloaded: the application does not start; see above")


def serve(
    address: str, port: int, *, workers: int, threads: int, log_config: Mapping[str, Any]
) -> None:
    """Serve until SIGTERM or SIGINT, which let running requests end; SIGHUP reloads.

    Raises OSError if the address can't be listened on.
    """
    listen(address, port).close()
    # Workers that can't load it would be started again and again.
    importlib.import_module("payflow.wsgi")
    multiprocessing.set_start_method("spawn", force=True)
    server = Server(
        "payflow.wsgi:application",
        address=address,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT),
        workers=workers,
        backpressure=MAX_CONNECTIONS,
        blocking_threads=MAX_CONNECTIONS,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        respawn_interval=RESPAWN_INTERVAL,
        workers_kill_timeout=GRACEFUL_TIMEOUT,
        log_level=_log_level(log_config["root"]["level"]),
        log_dictconfig=copy.deepcopy(dict(log_config)),  # granian changes it
    )
    load = partial(load_application, threads)
    if METRICS_DIRECTORY in os.environ:
        server.serve(_spawn_worker, load, wrap_loader=False)
        return
    os.environ[METRICS_DIRECTORY] = tempfile.mkdtemp(prefix="payflow-metrics-")
    try:
        server.serve(_spawn_worker, load, wrap_loader=False)
    finally:
        shutil.rmtree(os.environ.pop(METRICS_DIRECTORY), ignore_errors=True)


def listen(address: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def load_application(slots: int) -> Callable[..., Any]:
    """The WSGI application, in a worker. Its objects live as long as the process: freeze them."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    application = importlib.import_module("payflow.wsgi").application
    # Imported here, where the settings have been read.
    application = importlib.import_module("payflow.slots").Slots(application, slots)
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    return cast("Callable[..., Any]", application)


def _spawn_worker(
    worker_id: int, process_name: str | None, loader: Any, sockets: Any, *rest: Any
) -> None:
    """Run a worker on the shared socket, which multiprocessing has passed to it."""
    block_signals()
    _, listener = sockets
    holder = SocketHolder(listener.fileno(), False, BACKLOG)  # type: ignore[call-arg]  # its stub
    shared = ((None, holder), listener)
    drain = Drain(listener)
    _signals.set_main_signals = drain.precede  # type: ignore[assignment]  # it sets no SIGHUP here
    MPServer._spawn_wsgi_worker(
        worker_id, process_name, lambda: drain.application(loader()), shared, *rest
    )


def _end_with_parent() -> None:
    """End this worker if its parent was killed: it would keep the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACEFUL_TIMEOUT)
        os.kill(os.getpid(), signal.SIGKILL)


def _log_level(name: str) -> LogLevels:
    """Granian's name of a level of LOG_LEVEL."""
    known = {str(level.value): level for level in LogLevels}
    return known.get(name.lower(), LogLevels.info)


def _starts() -> bool:
    """Whether a new process can load the application: its code and environment may be new."""
    load = [sys.executable, "-c", "import payflow.wsgi, payflow.urls"]
    return subprocess.run(load, cwd=ROOT, check=False).returncode == 0  # noqa: S603
