"""Where the cluster's parts listen and keep their files, and the secrets that they share."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devtools.ports import LOOPBACK, free_ports

# Parts that listen on a port of their own.
PARTS = (
    *("etcd", "etcd_peer", "pg1", "pg1_rest", "pg2", "pg2_rest", "primary", "pgbouncer"),
    *("redis", "web1", "web2", "stripe", "edge", "product"),
)
NODES = ("web1", "web2")
DATABASES = ("pg1", "pg2")


def cluster_port() -> int:
    return int(os.environ.get("CLUSTER_PORT") or 8080)


def directory_of(port: int) -> Path:
    return Path(tempfile.gettempdir()) / f"payflow-cluster-{port}"


@dataclass(frozen=True)
class Layout:
    """One cluster; `port` is nginx's."""

    port: int
    ports: dict[str, int] = field(
        default_factory=lambda: dict(zip(PARTS, free_ports(len(PARTS)), strict=True))
    )
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    webhook_secret: str = field(default_factory=lambda: f"whsec_{secrets.token_hex(16)}")

    @property
    def directory(self) -> Path:
        return directory_of(self.port)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def address(self, part: str) -> str:
        return f"{LOOPBACK}:{self.ports[part]}"

    def database_url(self, part: str) -> str:
        """A DATABASE_URL that leads through this part: `pgbouncer`, or `primary` directly."""
        return f"postgres://payflow:{self.password}@{self.address(part)}/payflow"

    def save(self) -> None:
        file = self.directory / "layout.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, port: int) -> Layout | None:
        """The layout of the cluster that runs at this port, or None."""
        try:
            return cls(**json.loads((directory_of(port) / "layout.json").read_text()))
        except FileNotFoundError:
            return None
