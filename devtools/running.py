"""Where a running `make run` can be found: a file in .run that is there as long as it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from devtools.service import ROOT

FILE = ROOT / ".run" / "running.json"


@dataclass(frozen=True)
class Address:
    """The server's URL, and whom to sign in as."""

    url: str
    email: str
    password: str


@contextmanager
def published(address: Address) -> Iterator[None]:
    """Let other commands of this checkout find the server."""
    FILE.parent.mkdir(exist_ok=True)
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
