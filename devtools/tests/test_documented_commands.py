"""The shell blocks of README and docs that are marked `runnable`, run as printed.

All blocks of a page are run in their order by one shell, in the project's folder, against a
`make run` on PostgreSQL. PORT and STRIPE_PORT are those of the test; the pages name them with the
usual ports as defaults. A block `output` after a block must match what it prints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from devtools.service import ROOT
from devtools.tests.make_run import Run
from e2e.stripe_cli import CannotInstall, install

pytestmark = [pytest.mark.http, pytest.mark.postgres, pytest.mark.timeout(300)]

BLOCK = re.compile(
    r"^```sh runnable\n(.*?)^```\n(?:\n```output\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE
)
PAGES = sorted(
    page
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if BLOCK.search(page.read_text())
)
PROGRAMS = ("psql", "curl", "jq")
SEPARATOR = "-- the output of the next block --"


@dataclass(frozen=True)
class Server:
    """A running `make run`, and the variables of a shell beside it."""

    run: Run
    variables: dict[str, str]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a database of its own on the tests' PostgreSQL."""
    url, name = os.environ["DATABASE_URL"], f"guide_{os.getpid()}"
    parts = re.fullmatch(r"(.*/)[^/?]*(\?.*)?", url)
    assert parts
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield f"{parts[1]}{name}{parts[2] or ''}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("run")
    run = Run(folder, DATABASE_URL=database)
    try:
        run.start_and_wait()
        lines = (folder / "dev-secrets.env").read_text().splitlines()
        found = re.search(r"Stripe +http://127\.0\.0\.1:(\d+)", run.text)
        assert found
        secrets = dict(line.split("=", 1) for line in lines)
        yield Server(run, {**run.environment, **secrets, "STRIPE_PORT": found[1]})
    finally:
        run.clean_up()


def missing() -> str:
    """Why the blocks can't be run on this machine, or nothing."""
    lacking = [program for program in PROGRAMS if shutil.which(program) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    try:
        install(ROOT / ".run" / "stripe-cli")
    except CannotInstall as reason:
        return str(reason)
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_run_as_printed(page: Path, server: Server) -> None:
    if reason := missing():
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    blocks = BLOCK.findall(page.read_text())
    script = "\n".join(f"echo '{SEPARATOR}'\n{commands}" for commands, _ in blocks)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=server.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    outputs = done.stdout.split(f"{SEPARATOR}\n")[1:]
    assert done.returncode == 0, f"block {len(outputs)} failed:\n{outputs[-1]}\n{server.run.text}"
    for (commands, expected), output in zip(blocks, outputs, strict=True):
        if expected:
            pattern = re.escape(expected.strip()).replace("…", ".*")
            printed = "\n".join(line.rstrip() for line in output.strip().splitlines())
            assert re.fullmatch(pattern, printed), f"{commands}\n{output}"


def test_blocks_are_marked_in_one_way() -> None:
    """A mark that is misspelt would not be run, and an output without its block not compared."""
    for page in PAGES:
        text = page.read_text()
        fences = re.findall(r"^```(.+)$", text, re.MULTILINE)
        assert fences.count("sh runnable") == len(BLOCK.findall(text))
        assert fences.count("output") == sum(bool(output) for _, output in BLOCK.findall(text))
        assert not {fence for fence in fences if "run" in fence} - {"sh runnable"}


def test_the_guide_and_the_readme_have_such_blocks() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "guide.md"}
