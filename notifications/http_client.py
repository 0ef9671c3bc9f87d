"""POST to a server that somebody named: only to public addresses, without redirects, and not long.

The name is resolved once and the connection made to that address, so that a name which resolves
to another one a moment later leads nowhere else. The answer's body is not read.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping

from django.conf import settings

from notifications.endpoints import Target

STEP_TIMEOUT = 5.0
# For the whole request: a server that sends a byte now and then passes every step's limit.
TOTAL_TIMEOUT = 10.0
# Networks whose addresses lead to the IPv4 address in their last 32 bits.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotSent(Exception):
    """No answer came. The text says why."""


def post(target: Target, body: bytes, headers: Mapping[str, str]) -> int:
    """The answer's status. Raises NotSent."""
    address = _address(target)
    connection = _connection(target, address)
    deadline = threading.Timer(TOTAL_TIMEOUT, _abort, [connection])
    deadline.start()
    try:
        connection.request("POST", target.path, body, dict(headers))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotSent(type(error).__name__) from None
    finally:
        deadline.cancel()
        connection.close()


def is_public(address: Address) -> bool:
    """Whether it is on the internet, also if it is an IPv4 address in another's clothes."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast


def _address(target: Target) -> str:
    """Of the name's addresses the first, if all are allowed. Raises NotSent."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotSent("The name can't be resolved.") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not settings.EVENTS_TO_PRIVATE_NETWORKS:
        for address in addresses:
            if not is_public(ipaddress.ip_address(address)):
                raise NotSent("It is in a private network.")
    return addresses[0]


class _Plain(http.client.HTTPConnection):
    """Connects to `address` whatever its name resolves to now."""

    address = ""

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), self.timeout)


class _Secure(http.client.HTTPSConnection):
    address = ""
    tls = ssl.create_default_context()

    def connect(self) -> None:
        plain = socket.create_connection((self.address, self.port), self.timeout)
        self.sock = plain  # so that the deadline can end the handshake too
        self.sock = self.tls.wrap_socket(plain, server_hostname=self.host)


def _connection(target: Target, address: str) -> http.client.HTTPConnection:
    kind = _Secure if target.is_tls else _Plain
    connection = kind(target.host, target.port, timeout=STEP_TIMEOUT)
    connection.address = address
    return connection


def _abort(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed
