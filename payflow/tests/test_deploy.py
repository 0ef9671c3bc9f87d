"""The files in deploy/ are valid, as far as the programs that read them are at hand."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import check_jsonschema  # type: ignore[import-untyped]
import pytest
import requests
import yaml
from prometheus_client import REGISTRY
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from devtools import debian
from devtools.ports import LOOPBACK, free_port, free_ports, is_free
from devtools.service import ROOT, Service
from payflow import metrics

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
# The metrics of payflow.metrics.DatabaseCollector are only known when the database is asked.
SOURCE = Path(metrics.__file__).read_text()

# Imports all modules of the applications that lie here.
IMPORT_ALL = """
import importlib, os, pkgutil
os.environ["DJANGO_SETTINGS_MODULE"] = "payflow.settings"
import django
django.setup()
from django.apps import apps
for config in apps.get_app_configs():
    if config.path.startswith(os.getcwd()):
        for module in pkgutil.walk_packages([config.path], f"{config.name}."):
            importlib.import_module(module.name)
import payflow.urls, payflow.wsgi, payflow.asgi
"""


def run(*command: str, directory: Path = ROOT) -> str:
    """The output of a program that must succeed."""
    done = subprocess.run(  # noqa: S603 - Debian's own programs
        command, cwd=directory, capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def program(name: str) -> str:
    found = debian.find(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(debian.missing(name))
    return str(found)


def copied_into_the_image() -> Sequence[str]:
    text = (DEPLOY / "Containerfile").read_text()
    return re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE)


def test_everything_that_the_image_copies_is_sent_to_its_builder() -> None:
    copied = set(copied_into_the_image())
    assert all((ROOT / name).exists() for name in copied)
    sent = (ROOT / ".containerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} <= set(sent)


def test_what_the_image_copies_collects_static_files_and_imports(tmp_path: Path) -> None:
    """By the step of the Containerfile, with its settings, in a directory of nothing else."""
    image, collected = tmp_path / "image", tmp_path / "collected"
    image.mkdir()
    for name in copied_into_the_image():
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("tests", "__pycache__")
            shutil.copytree(ROOT / name, image / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, image)
    text = (DEPLOY / "Containerfile").read_text()
    (step,) = re.findall(r"^RUN (SECRET_KEY=(?:.+\\\n)*.+)", text, re.MULTILINE)
    step = step.replace("\\\n", " ").replace(".venv/bin/python", sys.executable)
    settings, _, _ = step.partition(sys.executable)
    common = {"PATH": os.environ["PATH"], "ENV_FILE": "", "STATIC_ROOT": str(collected)}
    variables = [f"{name}={value}" for name, value in common.items()]
    importing = f"{settings} {sys.executable} -c {shlex.quote(IMPORT_ALL)}"
    run("env", "-i", *variables, "sh", "-c", step, directory=image)
    assert list((collected / "payflow").glob("style.*.css"))
    run("env", "-i", *variables, "sh", "-c", importing, directory=image)


def test_the_compose_file_names_files_and_services_that_exist() -> None:
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services: dict[str, Any] = composed["services"]
    assert {"web-1", "web-2", "worker", "postgres", "pgbouncer", "redis", "nginx"} <= set(services)
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        build = service.get("build")
        if build:
            context = DEPLOY / build["context"]
            assert (context / build["dockerfile"]).is_file()
    known = (ROOT / ".env.example").read_text()
    for name in services["web-1"]["environment"]:
        assert f"\n{name}=" in known
    upstreams = re.findall(r"server (\S+):3000", (DEPLOY / "nginx" / "payflow.conf").read_text())
    assert set(upstreams) <= set(services)


def compose_faults(file: Path) -> str:
    """What the compose specification's own schema says against a file."""
    command = [sys.executable, "-m", check_jsonschema.__name__]
    command += ["--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout if done.returncode else ""


def test_the_compose_file_follows_the_schema_of_its_specification(tmp_path: Path) -> None:
    file = DEPLOY / "compose.yaml"
    assert compose_faults(file) == ""
    misspelled = tmp_path / "compose.yaml"
    misspelled.write_text(file.read_text().replace("stop_grace_period", "stop_graceperiod"))
    assert "'stop_graceperiod' was unexpected" in compose_faults(misspelled)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    """With this Python in place of the installed one, which systemd looks for."""
    for each in UNITS:
        text = each.read_text().replace("/srv/payflow/.venv/bin/python", sys.executable)
        (tmp_path / each.name).write_text(text)
    complaints = run(program("systemd-analyze"), "verify", str(tmp_path / unit.name))
    assert unit.name not in complaints


def test_units_name_the_file_of_variables_so_that_a_reload_reads_it_anew() -> None:
    """EnvironmentFile= is read at the start only, and the environment wins over ENV_FILE."""
    texts = {unit.name: unit.read_text() for unit in UNITS}
    lines = {name: text.splitlines() for name, text in texts.items()}
    assert not [name for name in lines if any(x.startswith("EnvironmentFile") for x in lines[name])]
    ours = [name for name, text in texts.items() if "manage.py" in text.partition("ExecStart=")[2]]
    assert {"payflow-web.service", "payflow-worker.service"} <= set(ours)
    file = "ENV_FILE=/etc/payflow/env"
    assert [name for name in ours if f"Environment={file}" not in lines[name]] == []
    assert f"export {file}" in (ROOT / "docs" / "going-live.md").read_text()


def test_going_live_enables_every_timer_and_the_backup_where_the_database_is() -> None:
    guide = (ROOT / "docs" / "going-live.md").read_text()
    enabled = " ".join(re.findall(r"systemctl enable --now ([^#\n]+)", guide)).split()
    assert {unit.name for unit in UNITS if unit.suffix == ".timer"} <= set(enabled)
    assert "enable --now payflow-backup.timer  " in guide
    backup = (DEPLOY / "systemd" / "payflow-backup.service").read_text()
    assert "\nAfter=postgresql.service\n" in backup


def test_the_nightly_script_for_containers_keeps_the_last_dump_when_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a `docker` that prints its arguments; the second time, it fails."""
    guide = (ROOT / "docs" / "going-live.md").read_text()
    (script,) = re.findall(r"\*\*Every night,\*\*.*?```\n(.+?)```", guide, re.DOTALL)
    dumps = tmp_path / "dumps"
    script = script.replace("/var/backups/payflow", str(dumps))
    docker = tmp_path / "docker"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    dump = dumps / f"payflow-{time.strftime('%F')}.dump"
    for status in (0, 1):
        docker.write_text(f"#!/bin/sh\necho {status} $*; exit {status}\n")
        docker.chmod(0o700)
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)  # noqa: S603, S607
        for command in ("check_invariants", "check_audit_log"):
            assert f"manage.py {command}\n" in done.stdout
        assert dump.read_text().startswith("0 compose exec -T postgres pg_dump ")
        assert (dump.stat().st_mode & 0o777, dumps.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.fixture
def reference_proxy(tmp_path: Path) -> Path:
    """The configuration of deploy/nginx/payflow.conf, with files and ports of this test."""
    certificate = ["-keyout", "privkey.pem", "-out", "fullchain.pem", "-subj", "/CN=localhost"]
    openssl = [program("openssl"), "req", "-x509", "-nodes", "-newkey", "rsa:2048"]
    run(*openssl, *certificate, directory=tmp_path)
    server = (DEPLOY / "nginx" / "payflow.conf").read_text()
    server = re.sub("/etc/nginx/tls|/var/log/nginx", str(tmp_path), server)
    server = re.sub(r"server web-[12]:", f"server {LOOPBACK}:", server)
    paths = "\n".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = tmp_path / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # another one can't enter the directory
    configuration.write_text(
        f"{user} daemon off; pid {tmp_path}/pid; events {{}}\nhttp {{ {paths}\n{server} }}\n"
    )
    return configuration


def test_nginx_accepts_the_reference_proxy(reference_proxy: Path) -> None:
    log = str(reference_proxy.parent / "error.log")
    assert "successful" in run(program("nginx"), "-t", "-c", str(reference_proxy), "-e", log)


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers of the request."""

    def do_GET(self) -> None:
        body = json.dumps(self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.mark.http
def test_the_reference_proxy_sets_what_payflow_trusts_and_drops_other_spellings(
    reference_proxy: Path,
) -> None:
    port, plain = free_ports(2)
    with ExitStack() as stack:
        node = ThreadingHTTPServer((LOOPBACK, 0), Echo)
        thread = threading.Thread(target=node.serve_forever)
        thread.start()
        for end in (node.server_close, thread.join, node.shutdown):
            stack.callback(end)
        text = reference_proxy.read_text().replace(":3000", f":{node.server_port}")
        text = text.replace("listen 443", f"listen {LOOPBACK}:{port}")
        reference_proxy.write_text(text.replace("listen 80;", f"listen {LOOPBACK}:{plain};"))
        log = str(reference_proxy.parent / "error.log")
        command = [program("nginx"), "-c", str(reference_proxy), "-e", log]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603
        for stop in (server.wait, server.terminate):
            stack.callback(stop)
        while is_free(port):
            assert server.poll() is None, Path(log).read_text()
            time.sleep(0.02)
        forged = ("X-Forwarded-For", "X_Forwarded_For", "X-Forwarded_Proto", "Script_Name")
        trusting = ssl._create_unverified_context()  # noqa: S323 - the certificate of this test
        client = HTTPSConnection(LOOPBACK, port, timeout=30, context=trusting)
        client.request("GET", "/", headers=dict.fromkeys(forged, "forged"))
        seen = json.loads(client.getresponse().read())
        client.close()
    assert "forged" not in dict(seen).values()
    assert {name: value for name, value in seen if name.startswith("X-Forwarded")} == {
        "X-Forwarded-For": LOOPBACK,
        "X-Forwarded-Proto": "https",
    }


@pytest.mark.http
def test_the_reference_proxy_shows_its_own_page_during_maintenance(tmp_path: Path) -> None:
    """With nobody behind it, and with the file that says so."""
    port, nobody = free_port(), 1  # nobody listens there
    (tmp_path / "payflow").mkdir()
    for name in ("maintenance.html", "maintenance.css"):
        shutil.copy(DEPLOY / "nginx" / name, tmp_path / "payflow")
    server = (DEPLOY / "nginx" / "payflow.conf").read_text()
    server = re.sub(r"(?s)server \{\n    listen 80;.*?\n\}\n", "", server)
    server = re.sub(r"(?m)^    ssl_.*\n", "", server)
    server = server.replace("listen 443 ssl http2;", f"listen {LOOPBACK}:{port};")
    server = re.sub("server web-[12]:3000", f"server {LOOPBACK}:{nobody}", server)
    server = re.sub("/etc/nginx|/var/log/nginx", str(tmp_path), server)
    paths = "\n".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = tmp_path / "nginx.conf"
    as_root = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(
        f"daemon off; {as_root} pid {tmp_path}/pid; events {{}}\nhttp {{ {paths}\n{server} }}\n"
    )
    command = [program("nginx"), "-c", str(configuration), "-e", str(tmp_path / "error.log")]
    client = requests.Session()
    client.mount(
        "http://",
        HTTPAdapter(
            max_retries=Retry(connect=9, backoff_factor=0.1, respect_retry_after_header=False)
        ),
    )
    with Service("nginx", command, os.environ):
        for status, marker in ((502, "unrelated"), (503, "payflow.maintenance")):
            (tmp_path / marker).touch()
            for method, path in (("GET", "/keys"), ("POST", "/api/webhooks/stripe")):
                url = f"http://{LOOPBACK}:{port}{path}"
                answer = client.request(method, url, timeout=10)
                assert answer.status_code == status
                assert "Back soon" in answer.text
                assert answer.headers["Retry-After"] == "60"
            style = client.get(f"http://{LOOPBACK}:{port}/maintenance.css", timeout=10)
            assert (style.status_code, style.headers["Content-Type"]) == (200, "text/css")


def test_promtool_accepts_rules_and_configuration() -> None:
    promtool = program("promtool")
    run(promtool, "check", "rules", str(DEPLOY / "prometheus" / "alerts.yml"))
    config = str(DEPLOY / "prometheus" / "prometheus.yml")
    run(promtool, "check", "config", "--syntax-only", config)


# Two nodes, scraped hourly. web-1 ran the check in the first night, with two rules broken, and is
# restarted on the second day; web-2 runs the check from the third night on.
ALERTS_IN_TIME = """
rule_files: [alerts.yml]
evaluation_interval: 1h
tests:
  - interval: 1h
    input_series:
      - { series: 'payflow_invariants_broken{instance="web-1"}', values: '_x3 2x30 _x200' }
      - { series: 'payflow_invariants_checked_timestamp_seconds{instance="web-1"}',
          values: '_x3 10800x30 _x200' }
      - { series: 'payflow_audit_log_broken{instance="web-1"}', values: '_x3 1x30 _x200' }
      - { series: 'payflow_audit_log_checked_timestamp_seconds{instance="web-1"}',
          values: '_x3 10800x30 _x200' }
      - { series: 'payflow_invariants_broken{instance="web-2"}', values: '_x51 0x180' }
      - { series: 'payflow_invariants_checked_timestamp_seconds{instance="web-2"}',
          values: '_x51 183600x180' }
    alert_rule_test:
      - { eval_time: 2h, alertname: PayflowInvariantsBroken }
      - { eval_time: 2h, alertname: PayflowInvariantsNotChecked }
      - eval_time: 4h
        alertname: PayflowInvariantsBroken
        exp_alerts: [{ exp_labels: { severity: page, instance: web-1 }, exp_annotations: BROKEN }]
      - eval_time: 40h
        alertname: PayflowInvariantsBroken
        exp_alerts: [{ exp_labels: { severity: page, instance: web-1 }, exp_annotations: BROKEN }]
      - { eval_time: 50h, alertname: PayflowInvariantsNotChecked }
      - { eval_time: 50h, alertname: PayflowAuditLogNotChecked }
      - eval_time: 53h
        alertname: PayflowAuditLogNotChecked
        exp_alerts: [{ exp_labels: { severity: ticket }, exp_annotations: LOG_NOT_CHECKED }]
      - eval_time: 104h
        alertname: PayflowAuditLogBroken
        exp_alerts: [{ exp_labels: { severity: page }, exp_annotations: LOG_BROKEN }]
      - { eval_time: 106h, alertname: PayflowAuditLogBroken }
      - { eval_time: 52h, alertname: PayflowInvariantsBroken }
      - { eval_time: 98h, alertname: PayflowInvariantsNotChecked }
      - eval_time: 101h
        alertname: PayflowInvariantsNotChecked
        exp_alerts: [{ exp_labels: { severity: ticket }, exp_annotations: NOT_CHECKED }]
  - interval: 1h
    input_series:
      - { series: 'payflow_mail_undelivered{instance="web-1",status="bounced"}',
          values: '7x30 8x30 7x2 8x60' }
      - { series: 'payflow_mail_undelivered{instance="web-2",status="bounced"}',
          values: '_x40 8x20 7x2 8x60' }
    alert_rule_test:
      - { eval_time: 29h, alertname: PayflowMailBounced }
      - eval_time: 32h
        alertname: PayflowMailBounced
        exp_alerts: [{ exp_labels: { severity: ticket }, exp_annotations: BOUNCED }]
      - { eval_time: 58h, alertname: PayflowMailBounced }
      - eval_time: 66h
        alertname: PayflowMailBounced
        exp_alerts: [{ exp_labels: { severity: ticket }, exp_annotations: BOUNCED }]
      - { eval_time: 96h, alertname: PayflowMailBounced }
"""
ANNOTATIONS = {
    "BROKEN": ("PayflowInvariantsBroken", "check_invariants found 2 rules broken"),
    "NOT_CHECKED": (
        "PayflowInvariantsNotChecked",
        "check_invariants has not ended for 2d 2h 0m 0s",
    ),
    "LOG_BROKEN": (
        "PayflowAuditLogBroken",
        "A row of the audit log was changed, added or removed by something else than payflow",
    ),
    "LOG_NOT_CHECKED": (
        "PayflowAuditLogNotChecked",
        "check_audit_log has not ended for 2d 2h 0m 0s",
    ),
    "BOUNCED": ("PayflowMailBounced", "1 mails bounced within a day"),
}


def test_alerts_about_the_past_fire_and_end_in_time(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "prometheus" / "alerts.yml", tmp_path)
    text = ALERTS_IN_TIME
    for name, (alert, summary) in ANNOTATIONS.items():
        runbook = f"docs/operations.md#{alert.lower()}"
        found = json.dumps({"summary": summary, "runbook": runbook})
        text = text.replace(f"exp_annotations: {name} ", f"exp_annotations: {found} ")
    (tmp_path / "test.yml").write_text(text)
    run(program("promtool"), "test", "rules", "test.yml", directory=tmp_path)


@pytest.mark.parametrize(
    ("name", "command"), [("check", "check_invariants"), ("audit", "check_audit_log")]
)
def test_a_check_fails_by_itself_and_leaves_its_result_where_the_web_server_reads_it(
    name: str, command: str
) -> None:
    web, check = (
        (DEPLOY / "systemd" / f"payflow-{unit}.service").read_text() for unit in ("web", name)
    )
    # One command, whose failure is the unit's.
    python = "/srv/payflow/.venv/bin/python"
    assert re.findall("^Exec.*", check, re.MULTILINE) == [f"ExecStart={python} manage.py {command}"]
    for line in ("Environment=PROMETHEUS_MULTIPROC_DIR=/run/payflow", "RuntimeDirectory=payflow"):
        assert f"\n{line}\n" in web
        assert f"\n{line}\n" in check
    # It outlives the command, which ends at once.
    assert "\nRuntimeDirectoryPreserve=yes\n" in check


def test_the_dashboard_shows_metrics_that_exist() -> None:
    text = (DEPLOY / "grafana" / "payflow.json").read_text()
    panels = json.loads(text)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    counted = {metric.name for metric in REGISTRY.collect()}
    for name in set(re.findall(r"payflow_\w+", text)):
        assert re.sub(r"_(total|bucket)$", "", name) in counted or f'"{name}"' in SOURCE
