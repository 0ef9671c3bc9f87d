"""What makes the virtual environment."""

from __future__ import annotations

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
