"""Clients generated from docs/openapi.json, and redocly's opinion of it. Needs Node 20 and npm.

The packages are installed by name into .run/api-clients/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import openapi_python_client

from sandbox.conformance.npm import install

ROOT = Path(__file__).resolve().parents[1]
OPENAPI = ROOT / "docs" / "openapi.json"
EXAMPLES = ROOT / "docs" / "examples"
FOLDER = ROOT / ".run" / "api-clients"
PACKAGES = {
    "@redocly/cli": "2.77.0",
    "@types/node": "20.19.43",
    "openapi-fetch": "0.17.0",
    "openapi-typescript": "7.13.0",
    "typescript": "5.9.3",
}


class FailedError(Exception):
    """A program failed; the text is its output."""


def lint() -> str:
    """Redocly's output, with its recommended rules. Raises NotInstalledError, FailedError."""
    install(FOLDER, PACKAGES)
    return _run(FOLDER / "node_modules/.bin/redocly", "lint", "--extends=recommended", OPENAPI)


def python_client(folder: Path) -> Path:
    """Generate the package `payflow_client` into the folder. Returns the example that uses it."""
    package = folder / "payflow_client"
    _run(
        *(sys.executable, "-m", openapi_python_client.__name__, "generate", "--overwrite"),
        *("--meta=none", f"--path={OPENAPI}", f"--output-path={package}", "--fail-on-warning"),
        cwd=folder,
    )
    return EXAMPLES / "python_client.py"


def typescript_client() -> Path:
    """Generate the types, and compile the example. Returns the compiled example.

    Raises NotInstalledError, FailedError.
    """
    install(FOLDER, PACKAGES)
    programs = FOLDER / "node_modules/.bin"
    _run(programs / "openapi-typescript", OPENAPI, "--output", FOLDER / "schema.d.ts")
    source = shutil.copy(EXAMPLES / "typescript_client.mts", FOLDER)
    _run(
        *(programs / "tsc", "--strict", "--module", "nodenext", "--target", "es2022", source),
        cwd=FOLDER,
    )
    return FOLDER / "typescript_client.mjs"


def _run(*command: str | Path, cwd: Path = ROOT) -> str:
    # The Python generator calls ruff, which is beside this Python.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    if done.returncode:
        raise FailedError(output)
    return output


if __name__ == "__main__":
    print(lint())
