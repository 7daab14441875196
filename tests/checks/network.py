"""Watches a Python process for attempts to reach a network, through the interpreter's own audit events. What is run is not here.

Loopback and Unix sockets are this machine's own affair. Processes that a test starts are not seen.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any


class Outbound:
    """Counts attempts to look up or connect to anything but this machine.

    Attributes:
        attempts: What was tried, as "event host".
    """

    def __init__(self) -> None:
        self.attempts: list[str] = []

    def watch(self) -> None:
        """From now on; an audit hook cannot be taken off again."""
        sys.addaudithook(self.see)

    def see(self, event: str, args: tuple[Any, ...]) -> None:
        """One audit event."""
        if event == "socket.getaddrinfo":
            host = args[0]
        elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
            host = args[1][0]
        else:
            return
        if not _is_here(host):
            self.attempts.append(f"{event} {host!r}"[:120])


def _is_here(host: object) -> bool:
    if host is None or host == b"":
        return True
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    if text in ("", "localhost") or text.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        try:
            # 127.1 and 0x7f000001: the system reads such numbers without asking anybody.
            address = ipaddress.ip_address(socket.inet_aton(text))
        except (OSError, ValueError):
            return False
    return address.is_loopback or address.is_unspecified
