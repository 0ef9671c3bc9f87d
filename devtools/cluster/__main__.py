"""`make cluster` and `make cluster-down`."""

from __future__ import annotations

import sys

from devtools import debian
from devtools.cluster.layout import Layout, cluster_port
from devtools.cluster.topology import Cluster, ClusterError, remove
from devtools.management import CommandFailedError
from devtools.ports import is_free

BANNER = """payflow's cluster is running: {url}/
  the key check at the edge   http://{edge}/
  PostgreSQL                  {leader} leads; through PgBouncer at {pgbouncer}
  the local Stripe            http://{stripe}
  configuration and logs      {directory}
make cluster-down stops it and removes its data.
"""


def main(arguments: list[str]) -> int:
    port = cluster_port()
    if arguments == ["down"]:
        print("payflow: " + ("stopped" if remove(port) else "no cluster was running"))
        return 0
    try:
        cluster = up(port)
    except (ClusterError, CommandFailedError) as error:
        print(f"payflow: {error}", file=sys.stderr)
        return 1
    layout = cluster.layout
    parts = {part: layout.address(part) for part in layout.ports}
    leader = cluster.leader()
    print(BANNER.format(url=layout.url, leader=leader, directory=layout.directory, **parts))
    return 0


def up(port: int) -> Cluster:
    """Start a cluster; raise ClusterError if one runs already or a program is missing."""
    if Layout.load(port):
        raise ClusterError("a cluster is running already: make cluster-down")
    if not is_free(port):
        raise ClusterError(f"port {port} is in use: make cluster CLUSTER_PORT={port + 1}")
    if missing := debian.provide(debian.CLUSTER_PACKAGES):
        raise ClusterError(debian.missing(missing[0]))
    cluster = Cluster(Layout(port))
    cluster.create()
    return cluster


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
