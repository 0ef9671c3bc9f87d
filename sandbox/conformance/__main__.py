"""Compares the sandbox with Stripe's own description of its API.

    python -m sandbox.conformance [--folder .run/conformance]

The description is the types of Stripe's Node library, which Stripe generates from its OpenAPI
description. Compared are all objects of all flows, all documented parameters, wrong requests, the
triggers of Stripe's command line, and what a shop on the Node library gets. Needs Node 20 and npm;
where they are missing it does nothing, but fails if CI is set.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.account import API_VERSION
from sandbox.conformance.base_requests import base_requests
from sandbox.conformance.client import Client, Recording, receiving
from sandbox.conformance.flows import run_all
from sandbox.conformance.npm import NotInstalledError, install
from sandbox.conformance.parameter_checks import check_parameters
from sandbox.conformance.parameters import describe
from sandbox.conformance.shop import MIN_CHECKS, run_shop
from sandbox.conformance.triggers import MIN_TRIGGERS, run_triggers
from sandbox.conformance.validation import Schema
from sandbox.json_types import JsonObject
from sandbox.testing import running

_SCHEMA_SCRIPT = Path(__file__).with_name("schema.mjs")
_PARAMETERS = Path(__file__).parents[1] / "api/parameters.json"
_TIMEOUT = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every comparison. Returns 1 if one of them fails."""
    parser = argparse.ArgumentParser(prog="sandbox.conformance", description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(".run/conformance"))
    folder = parser.parse_args(arguments).folder
    try:
        install(folder)
    except NotInstalledError as reason:
        sys.stderr.write(f"sandbox: conformance is not checked: {reason}\n")
        return 1 if os.environ.get("CI") else 0
    described = json.loads(_schema(folder))
    schema = Schema(described)
    if schema.version != API_VERSION:
        sys.stderr.write(f"sandbox: {schema.version} is described, {API_VERSION} is emulated\n")
        return 1
    return _report(
        {
            "objects": lambda: _objects(schema),
            "table": lambda: _table(described),
            "parameters": lambda: _parameters(schema),
            "triggers": lambda: _triggers(folder),
            "shop": lambda: _shop(folder),
        }
    )


Result = tuple[str, list[str]]
"""A summary, and a line for each failure."""


def _report(comparisons: dict[str, Callable[[], Result]]) -> int:
    good = True
    for name, compare in comparisons.items():
        began = time.monotonic()
        summary, failures = compare()
        state = "FAILED" if failures else "ok"
        seconds = time.monotonic() - began
        sys.stdout.write(f"{name:<11} {summary}  {state} ({seconds:.0f} s)\n")
        sys.stdout.writelines(f"    {failure}\n" for failure in failures)
        sys.stdout.flush()
        good = good and not failures
    return 0 if good else 1


def _schema(folder: Path) -> str:
    command = ["node", str(_SCHEMA_SCRIPT), str(folder)]
    done = subprocess.run(  # noqa: S603 (this package's own script)
        command, capture_output=True, text=True, timeout=_TIMEOUT, check=True
    )
    return done.stdout


def _objects(schema: Schema) -> Result:
    recording = Recording()
    with receiving(recording) as url, running(webhook=url) as sandbox:
        run_all(Client(sandbox, recording))
        sandbox.wait_idle()
    report = schema.compare(recording)
    summary = (
        f"{report.conforming.total()} of {report.total.total()} objects conform, in "
        f"{len(recording.responses)} responses and {len(recording.events)} events"
    )
    failures = [
        f"{each.kind}: {each.path}: {each.what}, {count} times: {each.text}"
        for each, count in sorted(report.deviations.items(), key=lambda item: str(item[0]))
    ]
    return summary, failures


def _table(described: JsonObject) -> Result:
    current = _PARAMETERS.read_text()
    differs = describe(described) != current
    summary = f"{_PARAMETERS.name} describes {len(json.loads(current)['routes'])} routes"
    return summary, ["it differs from the schema: write it anew (README)"] if differs else []


def _parameters(schema: Schema) -> Result:
    with running(webhook=None) as sandbox:
        client = Client(sandbox)
        report = check_parameters(client, schema, base_requests(client))
    summary = (
        f"{report.documented} documented parameters: {report.used} used, {report.not_covered} "
        f"refused as not covered; {report.refused} of {report.wrong_requests} wrong requests "
        "refused"
    )
    return summary, [f"{each.route}: {each.what}: {each.text}" for each in report.findings]


def _triggers(folder: Path) -> Result:
    with running(webhook=None) as sandbox:
        triggers = run_triggers(folder / "node_modules/.bin/stripe", sandbox)
    failures = [f"{each.name}: {each.error}" for each in triggers if each.error]
    if len(triggers) < MIN_TRIGGERS:
        failures.append(f"the command line lists only {len(triggers)} triggers")
    return f"{len(triggers) - len(failures)} of {len(triggers)} triggers succeed", failures


def _shop(folder: Path) -> Result:
    with running(webhook=None) as sandbox:
        result = run_shop(folder, sandbox.url)
    failures = result.failures
    if result.checks < MIN_CHECKS:
        failures = [*failures, f"there are fewer than {MIN_CHECKS} checks"]
    return f"{result.passed} of {result.checks} checks pass", failures


if __name__ == "__main__":
    sys.exit(main())
