"""Runs the steps of deploy/Containerfile in plain directories, for machines without an engine.

    .venv/bin/python -m devtools.image_walk

The base image is replaced by a minimal Debian of its release, with Debian's Python. Then what the
image starts is started as compose.yaml does: by its user, on a root that is read-only but for /tmp,
and asked by the image's own health check. Needs root, debootstrap and `ip`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devtools.service import ROOT

WORK = ROOT / ".run" / "image"
CONTAINERFILE = ROOT / "deploy" / "Containerfile"
PACKAGES = "python3-venv,python-is-python3,ca-certificates"
HOST_FILES = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
SETTINGS = {
    "SECRET_KEY": "a-secret-key-of-the-walk-which-protects-nothing",
    "JWT_SECRET": "a-jwt-secret-of-the-walk-which-protects-nothing",
    "STRIPE_SECRET_KEY": "sk_test_of_the_walk",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_the_walk_which_protects_nothing",
    "STRIPE_PRODUCT_PRICE_ID": "price_of_the_walk",
    "DATABASE_URL": "sqlite:////tmp/payflow.sqlite3",
}
# Asks for a page and its style, which the browser may keep for good.
ASK = """
import http.client, re
def get(path):
    c = http.client.HTTPConnection("127.0.0.1", 3000, timeout=10)
    c.request("GET", path, headers={"Host": "localhost"})
    r = c.getresponse()
    return r.status, r.headers, r.read().decode()
status, _, page = get("/accounts/login/")
(style,) = set(re.findall(r'href="(/static/payflow/style[^"]*)"', page))
found, headers, _ = get(style)
assert (status, found) == (200, 200), (status, found)
assert re.fullmatch(r"/static/payflow/style\\.[0-9a-f]{12}\\.css", style), style
assert "immutable" in headers["Cache-Control"], headers["Cache-Control"]
print("served", style)
"""


@dataclass
class Stage:
    """A root directory, and what the instructions have set so far."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0"
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        inside = os.path.normpath(os.path.join("/", self.directory, name))  # noqa: PTH118
        return self.root / inside.lstrip("/")

    def chroot(self, *command: str, variables: Mapping[str, str] = {}) -> str:
        """A line of shell that runs a command in the root, as the image's user."""
        path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        values = {**path, **self.environment, **variables}
        words = ["chroot", f"--userspec={self.user}", str(self.root), "env", "-i"]
        words += [f"{name}={value}" for name, value in values.items()]
        words += ["sh", "-c", f'cd {self.directory} && exec "$@"', "sh", *command]
        return shlex.join(words)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Containerfile and their arguments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def build() -> Stage:
    """Carry out every instruction; return the last stage."""
    stages: dict[str, Stage] = {}
    stage = Stage(WORK)
    for word, rest in instructions(CONTAINERFILE.read_text()):
        print(f"{word} {rest[:90]}", flush=True)
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stage = stages[name] = Stage(copy_of(base(image), f"stage-{len(stages)}"))
        elif word == "ENV":
            stage.environment |= expanded(rest, stage.environment)
        elif word == "RUN":
            run(stage, stage.chroot("sh", "-c", rest, variables=for_pip()))
        elif word == "COPY":
            copy(rest, stage, stages)
        elif word == "WORKDIR":
            stage.directory = rest
            stage.path("").mkdir(parents=True, exist_ok=True)
        elif word == "USER":
            stage.user = identity(stage, rest)
        elif word == "CMD":
            stage.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            stage.health = json.loads(rest.partition(" CMD ")[2])
        elif word not in {"EXPOSE", "STOPSIGNAL"}:
            raise SystemExit(f"{word} is not known here")
    return stage


def base(image: str) -> Path:
    """Debian's minimal system of the image's release, made once."""
    (release,) = re.findall(r"-([a-z]+)$", image)
    root = WORK / f"base-{release}"
    if not (root / "usr" / "bin" / "python").exists():
        shutil.rmtree(root, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name in HOST_FILES:
        shutil.copy(name, root / name.lstrip("/"))
    return root


def copy_of(root: Path, name: str) -> Path:
    target = WORK / name
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "--archive", "--reflink=auto", root, target], check=True)
    return target


def copy(arguments: str, stage: Stage, stages: Mapping[str, Stage]) -> None:
    source, target = arguments.split()[-2:]
    other = re.match(r"--from=(\w+) ", arguments)
    found = stages[other[1]].root / source.lstrip("/") if other else ROOT / source
    destination = stage.path(target)
    if target.endswith("/"):
        destination /= found.name
    if found.is_dir():
        kept = shutil.ignore_patterns("__pycache__", "tests")
        shutil.copytree(found, destination, symlinks=True, ignore=None if other else kept)
    else:
        shutil.copy(found, destination)


def expanded(text: str, known: Mapping[str, str]) -> dict[str, str]:
    pairs = (each.partition("=") for each in shlex.split(text))
    path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **known}
    return {name: value.replace("$PATH", path["PATH"]) for name, _, value in pairs}


def identity(stage: Stage, name: str) -> str:
    """The user's and the group's number."""
    (line,) = re.findall(rf"^{name}:.*", (stage.root / "etc" / "passwd").read_text(), re.MULTILINE)
    return ":".join(line.split(":")[2:4])


def for_pip() -> dict[str, str]:
    """How this machine's pip reaches its index."""
    names = {"PIP_INDEX_URL", "HTTPS_PROXY", "https_proxy"}
    found = {name: value for name, value in os.environ.items() if name in names}
    return {**found, "PIP_CERT": HOST_FILES[1]}


def run(stage: Stage, script: str, *, read_only: bool = False) -> None:
    """Run lines of shell where the root has /proc and /dev, as in a container."""
    root = shlex.quote(str(stage.root))
    lines = ["set -e", f"mount --bind {root} {root}"]
    if read_only:
        lines += [
            f"mount -o remount,bind,ro {root}",
            f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp",  # noqa: S108 - the root's own
        ]
    lines += [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev", script]
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    own += ["--net"] if read_only else []
    done = subprocess.run([*own, "sh", "-c", "\n".join(lines)], check=False)
    if done.returncode:
        raise SystemExit(f"ended with status {done.returncode}")


def walk(image: Stage) -> None:
    """Start the image, wait until its health check passes, ask it, and stop it."""
    if image.user.startswith("0"):
        raise SystemExit("The image runs as root.")
    start = image.chroot(*image.command, variables=SETTINGS)
    script = [
        "ip link set lo up",
        image.chroot("python", "manage.py", "migrate", "--verbosity=0", variables=SETTINGS),
        f"{start} & server=$!",
        "tries=0",
        f"until {image.chroot(*image.health)} 2>/dev/null; do",
        "  tries=$((tries + 1)); [ $tries -lt 60 ]; sleep 1",
        "done",
        "echo 'the health check passes'",
        image.chroot("python", "-c", ASK),
        image.chroot("sh", "-c", 'echo "user $(id -u)"; ! touch manage.py 2>/dev/null'),
        "kill -TERM $server; wait $server",
    ]
    run(image, "\n".join(script), read_only=True)


def main() -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    walk(build())
    print("The image builds, runs as its user on a read-only root, and is healthy.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
