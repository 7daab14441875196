"""Pictures from the network, for those who switch it on: https only, public addresses only, 20 MB, 10 seconds.

The address is looked up once, checked, and that very address is connected to, so that a second answer of the name server
cannot lead elsewhere. Redirects are not followed, proxies are not used.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from ..core.shorten import shorten
from .rows import BadRow

MAX_BYTES = 20 * 10**6
SECONDS = 10.0
_CHUNK = 2**16

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[str, int, float], socket.socket]


def fetch(
    url: str, *, resolve: Resolve | None = None, connect: Connect | None = None, seconds: float = SECONDS
) -> bytes:
    """The bytes behind a URL.

    Args:
        url: An https address.
        resolve: (host, port) -> addresses; the system's resolver by default.
        connect: (address, port, timeout) -> socket; a TCP connection by default.
        seconds: For everything together.

    Raises:
        BadRow: It is not https, leads to an address that is not public, answers with anything but 200, is too large or
            too slow.
    """
    parts = _split(url)
    host, port = parts.hostname or "", parts.port or 443
    end = time.monotonic() + seconds
    try:
        addresses = _in_time(lambda: (resolve or _resolve)(host, port), seconds)
        if not addresses:
            raise _bad(url, "has no address")
        for address in addresses:
            check_public(url, address)
        return _read(url, parts, (connect or _connect)(addresses[0], port, seconds), end)
    except BadRow:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _bad(url, f"cannot be read ({shorten(error, 80) or type(error).__name__})") from None


def check_public(url: str, address: str) -> None:
    """Refuses every address that is not a public one: private, loopback, link-local, mapped, multicast, reserved.

    Raises:
        BadRow: The address is not public.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = [found]
    if isinstance(found, ipaddress.IPv6Address):
        # An IPv4 address can hide in an IPv6 one in four ways.
        inner += [a for a in (found.ipv4_mapped, found.sixtofour, *(found.teredo or ())) if a is not None]
        if found in ipaddress.ip_network("64:ff9b::/96"):
            inner.append(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
    if any(not a.is_global or a.is_multicast for a in inner):
        raise _bad(url, "leads to an address that is not public")


def _split(url: str) -> SplitResult:
    if any(ord(c) <= 32 or ord(c) == 127 or c == "\\" for c in url):
        raise _bad(url, "has spaces or control characters in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad(url, "is not a URL") from None
    if parts.scheme.lower() != "https":
        raise _bad(url, "is not https")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise _bad(url, "has no host, or a user name in it")
    if port not in {None, 443}:
        raise _bad(url, "names a port other than 443")
    return parts


def _resolve(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _connect(address: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((address, port), timeout=timeout)


def _in_time(look_up: Callable[[], list[str]], seconds: float) -> list[str]:
    """A name server may keep silent for longer than anybody wants to wait, and cannot be interrupted: it is left behind."""
    found: list[list[str] | BaseException] = []

    def run() -> None:
        try:
            found.append(look_up())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            found.append(error)

    worker = threading.Thread(target=run, daemon=True, name="vlmfreeze-name-lookup")
    worker.start()
    worker.join(seconds)
    if not found:
        raise TimeoutError("the name server does not answer")
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _read(url: str, parts: SplitResult, raw: socket.socket, end: float) -> bytes:
    host = parts.hostname or ""
    # A time-out of a socket counts from its last byte: a sender who drips would never meet it.
    with (
        raw,
        ssl.create_default_context().wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False) as safe,
    ):
        timer = threading.Timer(max(end - time.monotonic(), 0.01), _cut, [safe])
        timer.daemon = True
        timer.start()
        try:
            safe.settimeout(max(end - time.monotonic(), 0.01))
            safe.do_handshake()
            connection = http.client.HTTPSConnection(host, 443)
            connection.sock = safe
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"Accept": "image/*", "Accept-Encoding": "identity"})
            return _body(url, connection, end)
        finally:
            timer.cancel()


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _body(url: str, connection: http.client.HTTPSConnection, end: float) -> bytes:
    answer = connection.getresponse()
    if answer.status != 200:
        raise _bad(
            url, f"answers {answer.status}" + (" (redirects are not followed)" if 300 <= answer.status < 400 else "")
        )
    if (answer.length or 0) > MAX_BYTES:
        raise _bad(url, "is larger than 20 MB")
    body = bytearray()
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise _bad(url, "takes longer than 10 seconds")
        chunk = answer.read1(_CHUNK)
        if not chunk:
            if time.monotonic() >= end or answer.length:
                raise _bad(url, "breaks off or takes longer than 10 seconds")
            return bytes(body)
        body += chunk
        if len(body) > MAX_BYTES:
            raise _bad(url, "is larger than 20 MB")


def _bad(url: str, what: str) -> BadRow:
    # Without the query: it may hold a token.
    return BadRow("picture", f"{url.partition('?')[0][:120]!r} {what}")
