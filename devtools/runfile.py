"""Files of `make run`, and the address by which other commands find its server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from devtools.service import ROOT

# The variable allows two servers in one checkout, as in the tests.
DIRECTORY = Path(os.environ.get("PAYFLOW_RUN_DIRECTORY") or ROOT / ".run")
FILE = DIRECTORY / "running.json"
STRIPE_STATE = DIRECTORY / "stripe.sqlite3"


@dataclass(frozen=True)
class Address:
    """The server's URL, and the demo user."""

    url: str
    email: str
    password: str


@contextmanager
def written_runfile(address: Address) -> Iterator[None]:
    """Write the runfile, and remove it at the end."""
    FILE.write_text(json.dumps(asdict(address)))
    try:
        yield
    finally:
        FILE.unlink(missing_ok=True)


def read_runfile() -> Address | None:
    """The address of the running server, or None."""
    try:
        return Address(**json.loads(FILE.read_text()))
    except FileNotFoundError:
        return None
