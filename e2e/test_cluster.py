"""`make cluster`: the production topology of Debian's packages serves, and leaves nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from devtools import debian
from devtools.cluster.__main__ import up
from devtools.cluster.load import Seen
from devtools.cluster.topology import LIMITS, remove
from devtools.cluster.trial import Trial
from devtools.ports import free_port, is_free


@pytest.mark.timeout(1200)  # with the installation of the packages
def test_payments_reach_every_part_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    if missing := debian.provide(debian.CLUSTER_PACKAGES):
        pytest.skip(debian.missing(missing[0]))
    for name in LIMITS:
        monkeypatch.setenv(name, "0")
    cluster = up(free_port())
    layout = cluster.layout
    try:
        trial = Trial(cluster)
        assert trial.run_undisturbed(is_enough) == []
        kinds = {each.kind for each in trial.load.seen.requests}
        assert kinds >= {"verify", "verify at the edge", "revoked at the edge", "list"}
    finally:
        assert remove(layout.port, keep_logs=True)
    assert not layout.directory.exists()
    assert processes_of(layout.directory) == []
    assert [part for part, port in layout.ports.items() if not is_free(port)] == []


def is_enough(seen: Seen) -> bool:
    return len(seen.paid) >= 10 and len(seen.revoked) >= 2


def processes_of(directory: Path) -> list[str]:
    """The command lines that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in line:
                found.append(line)
    return found
