"""The local Stripe as a package: installed from its folder into an empty environment, then run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from sandbox import __version__

pytestmark = [pytest.mark.http, pytest.mark.timeout(400)]

FOLDER = Path(__file__).resolve().parents[1] / "sandbox"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603
    install = [str(folder / "bin" / "pip"), "install", "--quiet", str(FOLDER)]
    done = subprocess.run(  # noqa: S603 (our own folder)
        install, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        reason = f"pip could not install it: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder / "bin" / "stripe-sandbox"


def test_the_installed_command_serves_from_any_folder(command: Path, tmp_path: Path) -> None:
    started = subprocess.Popen(  # noqa: S603 (our own command)
        [str(command), "--port", "0"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
    )
    with started:
        try:
            assert started.stdout is not None
            line = started.stdout.readline()
            url = next(word for word in line.split() if word.startswith("http://"))
            health = requests.get(f"{url}/sandbox/health", timeout=5).json()
            page = requests.get(f"{url}/sandbox", timeout=5).text
        finally:
            started.kill()

    assert health["version"] == __version__
    assert "Sandbox control" in page


def test_the_installed_command_says_its_own_name(command: Path) -> None:
    said = subprocess.run(  # noqa: S603
        [str(command), "--version"], capture_output=True, text=True, check=True
    ).stdout

    assert said == f"stripe-sandbox {__version__}\n"


def test_an_installation_leaves_nothing_in_the_source_folder(command: Path) -> None:
    assert command.exists()
    assert [path.name for path in FOLDER.glob("build*")] == []
    assert list(FOLDER.glob("*.egg-info")) == []
