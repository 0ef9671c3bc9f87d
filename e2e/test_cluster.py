"""`make cluster`: the production topology of Debian's packages serves, and leaves nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from devtools import debian
from devtools.cluster.__main__ import up
from devtools.cluster.topology import LIMITS, remove
from devtools.cluster.trial import Trial
from devtools.ports import free_port, is_free

SECONDS = 20.0


@pytest.mark.timeout(600)
def test_payments_reach_every_part_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing := debian.provide(debian.CLUSTER_PACKAGES):
        pytest.skip(debian.missing(missing[0]))
    for name in LIMITS:
        monkeypatch.setenv(name, "0")
    cluster = up(free_port())
    layout = cluster.layout
    try:
        trial = Trial(cluster)
        assert trial.run_undisturbed(SECONDS) == []
        assert trial.load.seen.paid
        assert {"verify at the edge", "verify", "list"} <= {
            each.kind for each in trial.load.seen.requests
        }
    finally:
        assert remove(layout.port)
    assert not layout.directory.exists()
    assert processes_of(layout.directory) == []
    assert [part for part, port in layout.ports.items() if not is_free(port)] == []


def processes_of(directory: Path) -> list[str]:
    """The command lines that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in line:
                found.append(line)
    return found
