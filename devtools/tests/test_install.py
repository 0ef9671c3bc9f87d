"""What makes the virtual environment."""

from __future__ import annotations

import importlib.util
import subprocess
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


def test_pip_comes_from_python_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert install.pip()[-2:] == ["--python", str(install.PYTHON)]

    modules = {"pip": None, "ensurepip": importlib.util.find_spec("ensurepip")}
    monkeypatch.setattr(importlib.util, "find_spec", modules.get)
    program = install.pip()
    assert program[0] == str(install.PYTHON)
    answer = subprocess.run(
        [sys.executable, *program[1:], "--version"], capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("pip ")
