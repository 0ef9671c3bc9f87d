"""Configuration files of the cluster's parts; those of `deploy/` with this machine's addresses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from devtools import debian
from devtools.cluster.layout import DATABASES, NODES, Layout
from devtools.service import ROOT

DEPLOY = ROOT / "deploy"
EDGE_UPSTREAM = "    server 127.0.0.1:3000 max_fails=0 max_conns=128;"
FIRST_WITH_PREPARED_STATEMENTS = (1, 21)

HAPROXY = """
global
    maxconn 1000
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
# The leader is the one whose Patroni says so; who was one is cut off.
listen primary
    bind {primary}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
    server pg1 {pg1} check addr 127.0.0.1 port {pg1_rest}
    server pg2 {pg2} check addr 127.0.0.1 port {pg2_rest}
"""

NGINX = """
{modules}
daemon off;
worker_processes 2;
pid {directory}/nginx/pid;
error_log {directory}/nginx/error.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {directory}/nginx/body;
    proxy_temp_path {directory}/nginx/proxy;
    fastcgi_temp_path {directory}/nginx/fastcgi;
    uwsgi_temp_path {directory}/nginx/uwsgi;
    scgi_temp_path {directory}/nginx/scgi;
    access_log off;
    include payflow.conf;
    include edge.conf;
    # A product behind the edge that costs nothing.
    server {{ listen {product}; location / {{ return 204; }} }}
}}
"""


def write_all(layout: Layout) -> None:
    directory = layout.directory
    addresses = {part: layout.address(part) for part in layout.ports}
    for node in DATABASES:
        # YAML contains JSON.
        (directory / f"{node}.yml").write_text(json.dumps(patroni(layout, node)))
    (directory / "haproxy.cfg").write_text(HAPROXY.format(**addresses | _ports(layout)))
    (directory / "pgbouncer.ini").write_text(pgbouncer(layout))
    (directory / "userlist.txt").write_text(f'"payflow" "{layout.password}"\n')
    (directory / "nginx.conf").write_text(
        NGINX.format(modules=debian.load_modules(), directory=directory, **addresses)
    )
    (directory / "payflow.conf").write_text(reference_proxy(layout))
    (directory / "edge.conf").write_text(edge(layout))
    pages = directory / "nginx" / "payflow"
    pages.mkdir()
    for page in (DEPLOY / "nginx").glob("maintenance.*"):
        shutil.copy(page, pages)


def _ports(layout: Layout) -> dict[str, int]:
    return {f"{node}_rest": layout.ports[f"{node}_rest"] for node in DATABASES}


def patroni(layout: Layout, node: str) -> dict[str, object]:
    """Patroni's configuration of one database node."""
    directory = layout.directory
    address, rest = layout.address(node), layout.address(f"{node}_rest")
    password = {"password": layout.password}
    return {
        "scope": "payflow",
        "name": node,
        "restapi": {"listen": rest, "connect_address": rest},
        "etcd3": {"host": layout.address("etcd")},
        "bootstrap": {
            "dcs": {
                # The shortest that Patroni allows: a dead leader is replaced after 20 s at most.
                "ttl": 20,
                "loop_wait": 3,
                "retry_timeout": 5,
                # What was acknowledged is on both; the standby that lags is not chosen.
                "synchronous_mode": True,
                "postgresql": {
                    "use_pg_rewind": True,
                    "parameters": {
                        "max_connections": 200,
                        "wal_log_hints": "on",
                        "hot_standby": "on",
                        "shared_buffers": "128MB",
                    },
                },
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
        },
        "postgresql": {
            "listen": address,
            "connect_address": address,
            "data_dir": str(directory / node),
            "bin_dir": str(postgresql_programs()),
            "pgpass": str(directory / f"{node}.pgpass"),
            # Not spread over minutes, as on a server under load.
            "basebackup": [{"checkpoint": "fast"}],
            "pg_hba": [
                "host all all 127.0.0.1/32 scram-sha-256",
                "host replication replicator 127.0.0.1/32 scram-sha-256",
            ],
            "authentication": {
                "superuser": {"username": "postgres", **password},
                "replication": {"username": "replicator", **password},
            },
            "parameters": {"unix_socket_directories": "", "log_min_messages": "warning"},
        },
    }


def postgresql_programs() -> Path:
    """The programs of Debian's newest PostgreSQL."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda path: int(path.parent.name)
    )
    return found[-1]


def pgbouncer(layout: Layout) -> str:
    """deploy/pgbouncer/pgbouncer.ini for this machine, without what its version does not know."""
    text = (DEPLOY / "pgbouncer" / "pgbouncer.ini").read_text()
    host, port = layout.address("primary").split(":")
    text = text.replace("host=postgres port=5432", f"host={host} port={port}")
    text = text.replace("0.0.0.0", host)  # noqa: S104 - it is replaced
    text = text.replace("listen_port = 6432", f"listen_port = {layout.ports['pgbouncer']}")
    text = text.replace("/tmp/userlist.txt", f"{layout.directory}/userlist.txt")  # noqa: S108
    if not pgbouncer_prepares():
        text = re.sub(r"(?m)^max_prepared_statements.*\n", "", text)
    return text


def pgbouncer_prepares() -> bool:
    """Whether this PgBouncer keeps prepared statements."""
    done = subprocess.run(
        [str(debian.find("pgbouncer")), "--version"], capture_output=True, text=True, check=True
    )
    found = re.search(r"PgBouncer (\d+)\.(\d+)", done.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= FIRST_WITH_PREPARED_STATEMENTS


def _upstream(layout: Layout) -> str:
    return "\n".join(f"    server {layout.address(node)} max_fails=0;" for node in NODES)


def reference_proxy(layout: Layout) -> str:
    """deploy/nginx/payflow.conf without TLS, on nginx's port."""
    text = (DEPLOY / "nginx" / "payflow.conf").read_text()
    text = text.replace(
        "    server web-1:3000 max_fails=0;\n    server web-2:3000 max_fails=0;", _upstream(layout)
    )
    text = re.sub(r"(?s)server \{\n    listen 80;.*?\n\}\n", "", text)
    text = re.sub(r"(?m)^    ssl_.*\n", "", text)
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{layout.port};")
    text = text.replace("server_name pay.example.com;", "server_name localhost 127.0.0.1;")
    text = text.replace("/etc/nginx", f"{layout.directory}/nginx")
    return text.replace("/var/log/nginx/payflow.log", f"{layout.directory}/nginx/access.log")


def edge(layout: Layout) -> str:
    """deploy/nginx/edge.conf in front of both nodes."""
    text = (DEPLOY / "nginx" / "edge.conf").read_text()
    for old, new in {
        EDGE_UPSTREAM: "\n".join(
            EDGE_UPSTREAM.replace("127.0.0.1:3000", layout.address(node)) for node in NODES
        ),
        "127.0.0.1:8080": layout.address("product"),
        "127.0.0.1:8000": layout.address("edge"),
        "/dev/shm/payflow-keys": f"{layout.directory}/nginx/keys",  # noqa: S108
        "rate=6000r/m": "rate=1000000r/s",
    }.items():
        text = text.replace(old, new)
    return text
