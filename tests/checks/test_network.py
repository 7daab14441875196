"""The watch over network attempts sees what would leave this machine and nothing else. What it finds is in the report as X16."""

import socket
import sys

import pytest

from tests.checks.network import Outbound


@pytest.mark.control("X16")
@pytest.mark.parametrize(
    ("event", "args"),
    [
        ("socket.getaddrinfo", ("example.invalid", 443, 0, 0, 0)),
        ("socket.connect", (None, ("93.184.215.14", 443))),
        ("socket.connect", (None, ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", 443, 0, 0))),
        ("socket.sendto", (None, ("8.8.8.8", 53))),
    ],
)
def test_an_attempt_to_leave_the_machine_is_counted(event, args):
    watch = Outbound()
    watch.see(event, args)
    assert len(watch.attempts) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1", "2130706433", None, "0.0.0.0"])
def test_what_stays_on_the_machine_is_not_counted(host):
    watch = Outbound()
    watch.see("socket.connect", (None, (host, 80)))
    watch.see("socket.connect", (None, "/tmp/a.socket"))
    assert watch.attempts == []


def test_a_real_connection_raises_the_event_that_is_watched():
    seen = []
    listening = [True]
    sys.addaudithook(lambda event, _: seen.append(event) if listening and event.startswith("socket.") else None)
    with socket.socket() as left, socket.socket() as right:
        left.bind(("127.0.0.1", 0))
        left.listen()
        right.connect(left.getsockname())
    listening.clear()
    assert "socket.connect" in seen
