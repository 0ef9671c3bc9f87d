"""Key checks a second: by payflow itself, and by nginx with deploy/nginx/edge.conf in front.

`make bench-edge`. Needs nginx with its set-misc module, and wrk. Fifty keys, all busy. "Not
cached" is the edge without its cache: every check is payflow's. The rounds take turns.

The product is a server of the same nginx, one more request for each. "The check alone" has none:
nginx answers itself after the check.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from apikeys import tokens
from devtools import debian
from devtools.management import manage
from devtools.ports import LOOPBACK, free_port, is_free
from devtools.postgres import Cluster
from devtools.service import ROOT, Service
from devtools.settings_for_tests import SETTINGS

KEYS = 50
CONNECTIONS = 16
SECONDS = 4
ROUNDS = 5
MAIN = """
{modules}
{user}
daemon off;
worker_processes auto;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server {{ listen {product}; location / {{ return 204; }} }}
    {edges}
    server {{ listen {ports[unchecked]}; location / {{ proxy_pass http://product;
        proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}
"""
UNCACHED, PAYFLOW, UNCHECKED = "not cached", "payflow", "unchecked"
# Each with what its rate is compared with.
CASES = {
    "edge": ("the edge, to a product", UNCACHED),
    UNCACHED: ("the same, not cached", UNCACHED),
    "alone": ("the edge, the check alone", "alone, not cached"),
    "alone, not cached": ("the same, not cached", "alone, not cached"),
    PAYFLOW: ("payflow, /api/api-keys/verify", UNCACHED),
    UNCHECKED: ("nginx to a product, no check", UNCACHED),
}
# Each connection uses the keys in turn.
SCRIPT = """
local keys = {{ {keys} }}
local n = 0
request = function()
    n = n + 1
    return wrk.format("GET", "{path}", {{ Host = "localhost",
        Authorization = "Bearer " .. keys[n % #keys + 1] }})
end
"""


def main() -> int:
    secrets = [tokens.generate() for _ in range(KEYS)]
    with Cluster() as cluster, tempfile.TemporaryDirectory() as directory:
        environment = {
            **os.environ,
            **SETTINGS,
            "DATABASE_URL": cluster.url(),
            "API_KEY_REQUESTS_PER_MINUTE": "0",
            "LOG_LEVEL": "ERROR",
        }
        manage(environment, "migrate", "--verbosity=0")
        insert(cluster.url(), secrets)
        ports = {case: free_port() for case in CASES}
        address = f"{LOOPBACK}:{ports[PAYFLOW]}"
        serve = [sys.executable, "manage.py", "serve", f"--bind={address}", "--workers=2"]
        with Service("app", serve, environment) as service:
            service.wait_for(f"http://{address}/healthz")
            nginx = start_nginx(Path(directory), ports)
            try:
                compare(Path(directory), secrets, ports)
            finally:
                nginx.terminate()
                nginx.wait()
    return 0


def insert(url: str, secrets: list[str]) -> None:
    with psycopg.connect(url) as database:
        database.execute("INSERT INTO users (email) VALUES ('bench@example.com')")
        database.execute("INSERT INTO grants (user_id, updated_at) VALUES (1, now())")
        for secret in secrets:
            columns = tokens.stored_columns(secret)
            database.execute(
                "INSERT INTO api_keys (user_id, grant_id, name, key_hash, key_prefix, revealed_at)"
                " VALUES (1, 1, 'bench', %s, %s, now())",
                [columns["key_hash"], columns["key_prefix"]],
            )


def start_nginx(directory: Path, ports: Mapping[str, int]) -> subprocess.Popen[bytes]:
    product = f"{LOOPBACK}:{free_port()}"
    text = (ROOT / "deploy" / "nginx" / "edge.conf").read_text()
    for old, new in {
        "127.0.0.1:3000": f"{LOOPBACK}:{ports[PAYFLOW]}",
        "127.0.0.1:8080": product,
        "/dev/shm/payflow-keys": f"/dev/shm/payflow-bench-{ports['edge']}",  # noqa: S108 - memory
        "rate=6000r/m": "rate=1000000r/s",  # as payflow here: no limit
    }.items():
        text = text.replace(old, new)
    around, server = text.split("\nserver {")
    alone = server.replace("proxy_pass http://product;", "empty_gif;")
    servers = {
        "edge": server,
        UNCACHED: without_cache(server),
        "alone": alone,
        "alone, not cached": without_cache(alone),
    }
    edges = [
        "server {" + server.replace("127.0.0.1:8000", f"{LOOPBACK}:{ports[case]}")
        for case, server in servers.items()
    ]
    configuration = directory / "nginx.conf"
    configuration.write_text(
        MAIN.format(
            modules=debian.load_modules(),
            user="user root;" if os.geteuid() == 0 else "",
            directory=directory,
            product=product,
            edges="\n".join([around, *edges]),
            ports=ports,
        )
    )
    program = debian.find("nginx") or sys.exit(debian.missing("nginx"))
    nginx = subprocess.Popen([program, "-c", str(configuration)])  # noqa: S603
    while is_free(ports["edge"]):
        if nginx.poll() is not None:
            sys.exit("nginx does not start")
        time.sleep(0.05)
    return nginx


def without_cache(server: str) -> str:
    """The server with every check asked of payflow."""
    return re.sub(
        r"\n +(proxy_cache|proxy_no_cache|open_file_cache|proxy_ignore_headers)[^;]*;", "", server
    )


def compare(directory: Path, secrets: list[str], ports: Mapping[str, int]) -> None:
    rates: dict[str, list[float]] = {case: [] for case in CASES}
    for _ in range(ROUNDS + 1):
        for case, found in rates.items():
            path = "/api/api-keys/verify" if case == PAYFLOW else "/"
            found.append(rate(directory, secrets, ports[case], path))
    middle = {case: statistics.median(found[1:]) for case, found in rates.items()}
    for case, (name, base) in CASES.items():
        print(f"{name:32}{middle[case]:10,.0f} requests/s{middle[case] / middle[base]:8.1f}")


def rate(directory: Path, secrets: list[str], port: int, path: str) -> float:
    script = directory / "keys.lua"
    keys = ", ".join(f'"{secret}"' for secret in secrets)
    script.write_text(SCRIPT.format(keys=keys, path=path))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script)]
    done = subprocess.run(  # noqa: S603
        [*command, f"http://{LOOPBACK}:{port}"], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in done.stdout:
        sys.exit(f"refused: {done.stdout}")
    found = re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
