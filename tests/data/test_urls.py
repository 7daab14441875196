"""Pictures from the network: off unless asked for, then https and public addresses only, and never for long or for much."""

import socket
import ssl
import threading
import time

import pytest

import vlmfreeze_widgets as vf
from tests.data.files import llava_row
from tests.data.processors import make_processor
from vlmfreeze_widgets.data import urls
from vlmfreeze_widgets.data.rows import BadRow

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
    "fe80::1%eth0", "fc00::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::", "2001:db8::1",
]  # fmt: skip


def refused(url="https://pictures.example/a.png", **ways):
    def connect(*_):
        raise AssertionError("connected")

    with pytest.raises(BadRow) as bad:
        urls.fetch(url, **{"resolve": lambda *_: ["93.184.215.14"], "connect": connect, **ways})
    return bad.value.reason


@pytest.mark.check("X9")
@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_not_connected_to(address, figure):
    reason = refused(resolve=lambda *_: [address])
    figure("not public" not in reason)
    assert "not public" in reason


@pytest.mark.check("X9")
def test_one_private_address_among_public_ones_is_enough_to_refuse():
    assert "not public" in refused(resolve=lambda *_: ["93.184.215.14", "10.0.0.1"])


@pytest.mark.check("X9")
@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example/a.png", "ftp://x/a.png", "file:///etc/passwd", "//x/a.png", "https://", "https:///a.png",
        "https://user@x/a.png", "https://user:word@x/a.png", "https://x:22/a.png", "https://x:99999/a.png",
        "https://x\\@127.0.0.1/a.png", "https://x/a b.png", "https://x/\r\nHost: y", "https://x\t/a.png", "gopher://x/", "x",
        "https://[::1/a.png",
    ],
)  # fmt: skip
def test_what_is_not_a_plain_https_address_is_not_looked_up(url):
    def resolve(*_):
        raise AssertionError("looked up")

    refused(url, resolve=resolve)


@pytest.mark.check("X9")
@pytest.mark.parametrize(
    "url", ["https://2130706433/a.png", "https://0x7f000001/a.png", "https://127.1/a.png", "https://localhost/"]
)
def test_numbers_and_names_of_this_machine_are_seen_through_by_the_systems_own_resolver(url):
    reason = refused(url, resolve=None)
    assert "not public" in reason or "cannot be read" in reason


@pytest.mark.check("X9")
def test_the_address_that_was_checked_is_the_one_connected_to():
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    asked = []

    def connect(address, port, timeout):
        asked.append(address)
        raise OSError("no network here")

    refused(resolve=lambda *_: next(answers), connect=connect)
    assert asked == ["93.184.215.14"]


def test_a_name_server_that_keeps_silent_is_not_waited_for():
    answers = threading.Event()
    try:
        assert "cannot be read" in refused(resolve=lambda *_: answers.wait(), seconds=0.2)
    finally:
        answers.set()


class Server:
    """Speaks HTTP on one end of a pair of sockets; the TLS around it is switched off by the fixture."""

    def __init__(self, *answer, pause=0.0):
        self.ours, theirs = socket.socketpair()
        self._answer, self._pause, self._theirs = answer, pause, theirs
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            self._theirs.recv(65536)
            for piece in self._answer:
                self._theirs.sendall(piece)
                time.sleep(self._pause)
            self._theirs.close()
        except OSError:
            pass


class Naked:
    def wrap_socket(self, raw, server_hostname, do_handshake_on_connect):
        assert server_hostname == "pictures.example"
        assert not do_handshake_on_connect
        raw.do_handshake = lambda: None
        return raw


class Handshaking(socket.socket):
    """A socket with room for a method more."""


@pytest.fixture
def get(monkeypatch):
    monkeypatch.setattr(ssl, "create_default_context", Naked)

    def call(*answer, pause=0.0, seconds=10.0):
        raw = Server(*answer, pause=pause).ours
        own = Handshaking(fileno=raw.detach())
        return urls.fetch(
            "https://pictures.example/a.png?token=secret",
            resolve=lambda *_: ["93.184.215.14"],
            connect=lambda *_: own,
            seconds=seconds,
        )

    return call


HEAD = b"HTTP/1.1 200 OK\r\n"


def test_a_picture_is_fetched(get):
    assert get(HEAD + b"Content-Length: 5\r\n\r\nhello") == b"hello"
    assert get(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n") == b"hello"


@pytest.mark.check("X9")
@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Again", b"404 No", b"500 Oh", b"204 Nothing"])
def test_redirects_and_errors_are_not_followed(get, status):
    with pytest.raises(BadRow, match="answers"):
        get(b"HTTP/1.1 " + status + b"\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.check("X9")
def test_more_than_twenty_megabytes_are_not_read_whether_announced_or_not(get):
    with pytest.raises(BadRow, match="20 MB"):
        get(HEAD + b"Content-Length: 10000000000\r\n\r\n")
    with pytest.raises(BadRow, match="20 MB"):
        get(HEAD + b"\r\n", *[b"x" * 10**6] * 25)


@pytest.mark.check("X9")
def test_a_sender_that_drips_is_left_at_the_end_of_the_time(get):
    with pytest.raises(BadRow):
        get(HEAD, *[b"X-Slow: 1\r\n"] * 100, pause=0.05, seconds=0.5)
    with pytest.raises(BadRow):
        get(HEAD + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 100, pause=0.05, seconds=0.5)


@pytest.mark.check("X14")
def test_a_reason_never_holds_the_query_with_its_token(get):
    with pytest.raises(BadRow) as bad:
        get(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    assert "secret" not in bad.value.reason


@pytest.mark.check("X9")
def test_urls_are_off_unless_they_are_asked_for(monkeypatch):
    def never(*_):
        raise AssertionError("looked up")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    rows = [llava_row("https://pictures.example/a.png", "What?", "No."), llava_row(None, "What?", "No.")]
    batches = vf.load_batches(rows, make_processor("llava"))
    assert [d.reason.endswith("allow_urls is off") for d in batches.report.dropped] == [True]


def test_a_url_that_fails_is_a_row_left_out(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("10.0.0.1", 443))])
    rows = [llava_row("https://pictures.example/a.png", "What?", "No."), llava_row(None, "What?", "No.")]
    batches = vf.load_batches(rows, make_processor("llava"), allow_urls=True)
    assert ["not public" in d.reason for d in batches.report.dropped] == [True]
