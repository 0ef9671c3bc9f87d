"""What makes the virtual environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from devtools import install


def test_an_environment_that_is_a_symbolic_link_is_not_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    another = tmp_path / "another"
    another.mkdir()
    (another / "kept").touch()
    link = tmp_path / ".venv"
    link.symlink_to(another)
    monkeypatch.setattr(install, "VENV", link)
    assert not install.make_environment()
    assert (another / "kept").exists()
    assert capsys.readouterr().err == "payflow: .venv is a symbolic link: remove it\n"


@pytest.mark.parametrize("machine", ["exit 1", "echo 'no such option: --python' >&2; exit 2"])
def test_pythons_own_pip_is_used_where_the_machines_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], machine: str
) -> None:
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\n{machine}\n")
    broken.chmod(0o755)
    lock = tmp_path / "empty.txt"
    lock.write_text("# nothing to install\n")
    monkeypatch.setattr(install, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(sys, "executable", str(broken))
    assert install.with_pip(lock)
    assert "no such option" not in capfd.readouterr().err
