"""What `make run` keeps beside the code, and how other commands find it while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from devtools.service import ROOT

# Another directory for one who runs two of them from one checkout, as the tests do.
DIRECTORY = Path(os.environ.get("PAYFLOW_RUN_DIRECTORY") or ROOT / ".run")
FILE = DIRECTORY / "running.json"
STRIPE_STATE = DIRECTORY / "stripe.sqlite3"


@dataclass(frozen=True)
class Address:
    """The server's URL, and whom to sign in as."""

    url: str
    email: str
    password: str


@contextmanager
def published(address: Address) -> Iterator[None]:
    """Let other commands of this checkout find the server."""
    FILE.write_text(json.dumps(asdict(address)))
    try:
        yield
    finally:
        FILE.unlink(missing_ok=True)


def found() -> Address | None:
    """The address of the running server, or None."""
    try:
        return Address(**json.loads(FILE.read_text()))
    except FileNotFoundError:
        return None
