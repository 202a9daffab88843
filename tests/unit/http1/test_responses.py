"""Answers' heads: held to the same grammar as requests', for what an upstream sends reaches clients."""

from __future__ import annotations

import pytest
from feeding import accepted, refused, section

from proxyd.http1 import parser
from proxyd.http1.message import CHUNKED, UNTIL_CLOSE
from proxyd.http1.parser import HeadLimits

pytestmark = pytest.mark.usefixtures("reading")

OK = b"HTTP/1.1 200 OK"
EMPTY = b"Content-Length: 0"
LIMITS = HeadLimits()


def reader(method="GET", limits=LIMITS):
    def parse(data):
        return parser.parse_response(data, method, limits)

    return parse


# what is said, method, lines -> attributes
GOOD = [
    # --- RFC 9112 section 4: the status line
    ("a plain answer", "GET", (OK, EMPTY), {"status": 200, "reason": b"OK", "minor": 1, "framing": 0}),
    ("an empty phrase", "GET", (b"HTTP/1.1 200 ", EMPTY), {"status": 200, "reason": b""}),
    ("no phrase and no space", "GET", (b"HTTP/1.1 200", EMPTY), {"status": 200, "reason": b""}),
    ("a phrase of its own", "GET", (b"HTTP/1.1 200 All \xe9 well\t!", EMPTY), {"reason": b"All \xe9 well\t!"}),
    ("a status that nobody knows", "GET", (b"HTTP/1.1 599 ?", EMPTY), {"status": 599}),
    ("HTTP/1.0", "GET", (b"HTTP/1.0 200 OK", EMPTY), {"minor": 0, "keep_alive": False}),
    # --- RFC 9112 section 6.3: framing
    ("a length", "GET", (OK, b"Content-Length: 5"), {"framing": 5, "content-length": b"5"}),
    ("chunked", "GET", (OK, b"Transfer-Encoding: chunked"), {"framing": CHUNKED, "transfer-encoding": None}),
    ("neither", "GET", (OK,), {"framing": UNTIL_CLOSE, "keep_alive": True}),
    ("an answer to HEAD", "HEAD", (OK, b"Content-Length: 5"), {"framing": 0, "content-length": b"5"}),
    ("a chunked answer to HEAD", "HEAD", (OK, b"Transfer-Encoding: chunked"), {"framing": 0}),
    ("an answer to HEAD without framing", "HEAD", (OK,), {"framing": 0}),
    ("204", "GET", (b"HTTP/1.1 204 No Content",), {"framing": 0}),
    ("204 with a length", "GET", (b"HTTP/1.1 204 No Content", b"Content-Length: 5"), {"framing": 0}),
    ("304 with a length", "GET", (b"HTTP/1.1 304 Not Modified", b"Content-Length: 5"), {"framing": 0}),
    ("304 that says chunked", "GET", (b"HTTP/1.1 304 X", b"Transfer-Encoding: chunked"), {"framing": 0}),
    ("205 has a body if it says so", "GET", (b"HTTP/1.1 205 X", b"Content-Length: 5"), {"framing": 5}),
    # --- RFC 9110 section 15.2: interim answers
    ("100", "GET", (b"HTTP/1.1 100 Continue",), {"status": 100, "framing": 0}),
    ("103", "GET", (b"HTTP/1.1 103 Early Hints", b"Link: </a>"), {"status": 103, "link": b"</a>"}),
    (
        "101",
        "GET",
        (b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: WebSocket"),
        {"status": 101, "upgrade": "websocket", "framing": 0, "connection": None},
    ),
    ("101 to nowhere", "GET", (b"HTTP/1.1 101 X",), {"upgrade": ""}),
    ("Upgrade on another answer is an offer", "GET", (OK, EMPTY, b"Upgrade: h2c"), {"upgrade": ""}),
    # --- RFC 9112 section 9.3: persistence
    ("HTTP/1.1 persists", "GET", (OK, EMPTY), {"keep_alive": True}),
    ("unless it is closed", "GET", (OK, EMPTY, b"Connection: close"), {"keep_alive": False}),
    ("in any case", "GET", (OK, EMPTY, b"connection: CLOSE"), {"keep_alive": False}),
    ("or closed among others", "GET", (OK, EMPTY, b"Connection: x, close"), {"keep_alive": False}),
    ("said twice", "GET", (OK, EMPTY, b"Connection: x", b"Connection: close"), {"keep_alive": False}),
    ("HTTP/1.0 may persist", "GET", (b"HTTP/1.0 200 OK", EMPTY, b"Connection: keep-alive"), {"keep_alive": True}),
    ("a time", "GET", (OK, EMPTY, b"Keep-Alive: timeout=5"), {"idle_timeout": 5, "keep-alive": None}),
    ("a time among others", "GET", (OK, EMPTY, b"Keep-Alive: max=7, Timeout=5"), {"idle_timeout": 5}),
    ("no time", "GET", (OK, EMPTY, b"Keep-Alive: max=7"), {"idle_timeout": -1}),
    ("a time that is none", "GET", (OK, EMPTY, b"Keep-Alive: timeout=soon"), {"idle_timeout": -1}),
    ("a time beyond all", "GET", (OK, EMPTY, b"Keep-Alive: timeout=" + b"9" * 18), {"idle_timeout": 1 << 30}),
    ("a time with more digits", "GET", (OK, EMPTY, b"Keep-Alive: timeout=" + b"9" * 30), {"idle_timeout": 1 << 30}),
    # --- RFC 9110 section 7.6.1: what describes this hop
    ("Connection is of this hop", "GET", (OK, EMPTY, b"Connection: keep-alive"), {"connection": None}),
    ("so is what it names", "GET", (OK, EMPTY, b"Connection: A", b"A: 1", b"B: 2"), {"a": None, "b": b"2"}),
    ("so is Proxy-Connection", "GET", (OK, EMPTY, b"Proxy-Connection: x"), {"proxy-connection": None}),
    ("so is TE", "GET", (OK, EMPTY, b"TE: x"), {"te": None}),
    ("cookies stay apart", "GET", (OK, EMPTY, b"Set-Cookie: a", b"X: 1", b"Set-Cookie: b"), {"set-cookie": b"a, b"}),
    ("what counts in requests only", "GET", (OK, EMPTY, b"Host: x", b"Expect: y"), {"host": b"x", "expect": b"y"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "lines", "said"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_a_head_is_read(method, lines, said):
    """RFC 9112 section 4 and section 6.3: the head says this, however its bytes come."""
    head = accepted(reader(method), section(*lines), b"HTTP/1.1 200 OK\r\n")
    found = {
        name: getattr(head, name) if name in head.__slots__ else head.headers.get(name.encode())
        for name in said
    }
    assert found == said


BAD = [
    # --- RFC 9112 section 4: the status line
    ("another protocol", (b"ICY 200 OK",)),
    ("HTTP/2", (b"HTTP/2.0 200 OK",)),
    ("HTTP/1.2", (b"HTTP/1.2 200 OK",)),
    ("a version in lower case", (b"http/1.1 200 OK",)),
    ("no status", (b"HTTP/1.1",)),
    ("a status of two digits", (b"HTTP/1.1 20 OK",)),
    ("a status of four digits", (b"HTTP/1.1 2000 OK",)),
    ("a status beyond 599", (b"HTTP/1.1 600 OK",)),
    ("a status below 100", (b"HTTP/1.1 099 OK",)),
    ("a status that is none", (b"HTTP/1.1 OK",)),
    ("a signed status", (b"HTTP/1.1 +20 OK",)),
    ("two spaces", (b"HTTP/1.1  200 OK",)),
    ("white space before it", (b" HTTP/1.1 200 OK",)),
    ("a NUL in the phrase", (b"HTTP/1.1 200 O\0K",)),
    ("a bare CR in the phrase", (b"HTTP/1.1 200 O\rK",)),
    ("an empty line before it", (b"", OK)),
    # --- RFC 9112 section 5: field lines
    ("a folded line", (OK, b"A: 1", b" 2")),
    ("white space before the colon (5.1: a proxy removes it; here it is refused)", (OK, b"A : 1")),
    ("an empty name", (OK, b": x")),
    ("no colon", (OK, b"A")),
    ("a NUL in a value", (OK, b"A: \0")),
    ("a bare CR in a value", (OK, b"A: x\rB: y")),
    ("a bare LF in a value", (OK, b"A: x\nB: y")),
    ("a bare LF behind the status line", (b"HTTP/1.1 200 OK\nA: x",)),
    # --- RFC 9112 section 6.3: framing
    ("a repeated length", (OK, EMPTY, EMPTY)),
    ("a list of lengths", (OK, b"Content-Length: 1, 1")),
    ("a signed length", (OK, b"Content-Length: +1")),
    ("a length beyond 18 digits", (OK, b"Content-Length: " + b"9" * 19)),
    ("both framings", (OK, b"Content-Length: 1", b"Transfer-Encoding: chunked")),
    ("chunked twice", (OK, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    ("not chunked", (OK, b"Transfer-Encoding: gzip")),
    ("a coding that would have to be undone", (OK, b"Transfer-Encoding: gzip, chunked")),
    ("chunked before HTTP/1.1", (b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked")),
    ("doubtful framing of 204", (b"HTTP/1.1 204 X", EMPTY, b"Transfer-Encoding: chunked")),
    ("doubtful framing of 100", (b"HTTP/1.1 100 X", b"Content-Length: x")),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("lines", [row[1] for row in BAD], ids=[row[0] for row in BAD])
def test_a_doubtful_head_is_refused(lines, method):
    """RFC 9112 section 4 and section 6.3: an answer is not guessed either, however its bytes come."""
    refused(reader(method), section(*lines))


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",  # an alert: the port speaks TLS
        b"<html>",
        b"\r\n",
        b"HTTP/2",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 2000\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\n",
    ],
)
def test_what_is_not_http_is_refused_before_its_head_is_complete(data):
    """A peer that speaks something else is a bad answer at once, and not one that is late."""
    refused(reader(), data)


@pytest.mark.parametrize(
    "start", [b"", b"H", b"HTTP/1.", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r", b"HTTP/1.1 200 OK\r\nA"]
)
def test_what_may_become_an_answer_is_waited_for(start):
    """A head that is cut anywhere is no head yet."""
    assert reader()(start) is None


@pytest.mark.parametrize("limit", [200, 32768, 65536, 100_000])
def test_a_head_has_a_limit(limit):
    """An answer's head is as long as a request's may be, and refused as soon as it is longer."""
    parse = reader(limits=HeadLimits(size=limit))

    def head_of(size):
        start = section(OK, EMPTY, b"A: ")[:-4]
        return start + b"x" * (size - len(start)) + b"\r\n\r\n"

    for size in range(limit - 5, limit + 1):
        data = head_of(size)
        assert parse(data)[1] == len(data)
        assert parse(data[:-1]) is None
    refused(parse, head_of(limit + 1))
    refused(parse, head_of(limit + 50)[:-4])


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_fields_have_a_limit(limit):
    """More fields than a request may have are too many for an answer too."""
    parse = reader(limits=HeadLimits(count=limit))
    accepted(parse, section(OK, EMPTY, *[b"A: 1"] * (limit - 1)))
    refused(parse, section(OK, EMPTY, *[b"A: 1"] * limit))
