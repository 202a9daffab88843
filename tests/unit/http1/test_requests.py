"""Request heads: what is read, what is refused, and with which status."""

from __future__ import annotations

import pytest
from feeding import accepted, refused, section

from proxyd.http1 import parser
from proxyd.http1.message import CHUNKED
from proxyd.http1.parser import HeadLimits

pytestmark = pytest.mark.usefixtures("reading")

GET = b"GET / HTTP/1.1"
POST = b"POST / HTTP/1.1"
HOST = b"Host: h"
OLD = b"GET / HTTP/1.0"
LIMITS = HeadLimits()


def parse(data, limits=LIMITS):
    return parser.parse_request(data, limits)


# what is said, where, lines -> attributes
GOOD = [
    # --- RFC 9112 section 3: the request line
    ("a plain request", (GET, HOST), {"method": "GET", "target": "/", "minor": 1, "host": "h"}),
    ("a long method", (b"MKCALENDAR / HTTP/1.1", HOST), {"method": "MKCALENDAR"}),
    ("a method that is a token", (b"m-s'a!2 / HTTP/1.1", HOST), {"method": "m-s'a!2"}),
    ("a method in lower case is another", (b"get / HTTP/1.1", HOST), {"method": "get"}),
    ("HTTP/1.0 without Host", (OLD,), {"minor": 0, "host": "", "keep_alive": False}),
    ("HTTP/1.0 with an empty Host", (OLD, b"Host:"), {"minor": 0, "host": ""}),
    # --- RFC 9112 section 3.2: the target
    (
        "origin form",
        (b"GET /a/b?c=d HTTP/1.1", HOST),
        {"target": "/a/b?c=d", "path": "/a/b", "query": "?c=d"},
    ),
    ("an empty query", (b"GET /a? HTTP/1.1", HOST), {"path": "/a", "query": "?"}),
    ("a path to be normalised", (b"GET //a/./b/../%63 HTTP/1.1", HOST), {"path": "/a/c"}),
    ("a segment that begins with a dot", (b"GET /.well-known/x HTTP/1.1", HOST), {"path": "/.well-known/x"}),
    ("asterisk form", (b"OPTIONS * HTTP/1.1", HOST), {"path": "*", "query": ""}),
    (
        "absolute form takes the place of Host",
        (b"GET http://B:81/x?y HTTP/1.1", HOST),
        {"path": "/x", "query": "?y", "host": "b:81"},
    ),
    # --- RFC 9110 section 7.2: Host
    ("Host with a port", (GET, b"Host: H.example:8080"), {"host": "h.example:8080"}),
    ("Host with an address", (GET, b"Host: [::1]:80"), {"host": "[::1]:80"}),
    ("Host behind other fields", (GET, b"A: 1", b"hOST:h", b"B: 2"), {"host": "h"}),
    # --- RFC 9110 section 5: fields
    ("white space around a value", (GET, HOST, b"A: \t x y \t "), {"a": b"x y"}),
    ("no white space before a value", (GET, HOST, b"A:x"), {"a": b"x"}),
    ("an empty value", (GET, HOST, b"A:"), {"a": b""}),
    ("a value of white space", (GET, HOST, b"A: \t "), {"a": b""}),
    ("an 8-bit value (obs-text)", (GET, HOST, b"A: caf\xe9 \xc3\xa9"), {"a": b"caf\xe9 \xc3\xa9"}),
    ("a tab in a value", (GET, HOST, b"A: x\ty"), {"a": b"x\ty"}),
    ("a colon in a value", (GET, HOST, b"A: :x:"), {"a": b":x:"}),
    ("a name of odd token characters", (GET, HOST, b"!#$%&'*+-.^_`|~09: x"), {"!#$%&'*+-.^_`|~09": b"x"}),
    ("a name of 40 bytes", (GET, HOST, b"N" * 40 + b": x"), {"n" * 40: b"x"}),
    ("repeated fields, joined in their order", (GET, HOST, b"A: 1", b"B: 2", b"a: 3"), {"a": b"1, 3"}),
    # --- RFC 9112 section 6: framing
    ("no body", (POST, HOST), {"framing": 0}),
    ("a length", (POST, HOST, b"Content-Length: 12"), {"framing": 12}),
    ("a length of zero", (POST, HOST, b"Content-Length: 0"), {"framing": 0}),
    ("a length with leading zeros", (POST, HOST, b"Content-Length: 0012"), {"framing": 12}),
    ("the longest length", (POST, HOST, b"Content-Length: " + b"9" * 18), {"framing": 10**18 - 1}),
    ("a GET with a body", (GET, HOST, b"Content-Length: 1"), {"framing": 1}),
    ("chunked", (POST, HOST, b"Transfer-Encoding: chunked"), {"framing": CHUNKED}),
    ("chunked in any case", (POST, HOST, b"transfer-encoding: CHUNKED"), {"framing": CHUNKED}),
    ("chunked is of this hop", (POST, HOST, b"Transfer-Encoding: chunked"), {"transfer-encoding": None}),
    # --- RFC 9112 section 9.3: persistence
    ("HTTP/1.1 persists", (GET, HOST), {"keep_alive": True}),
    ("unless it is closed", (GET, HOST, b"Connection: close"), {"keep_alive": False}),
    ("in any case", (GET, HOST, b"Connection: Close"), {"keep_alive": False}),
    ("or closed among others", (GET, HOST, b"Connection: x, close"), {"keep_alive": False}),
    ("close wins", (GET, HOST, b"Connection: keep-alive, close"), {"keep_alive": False}),
    (
        "also in two fields",
        (GET, HOST, b"Connection: keep-alive", b"Connection: close"),
        {"keep_alive": False},
    ),
    ("HTTP/1.0 persists if asked", (OLD, b"Connection: keep-alive"), {"keep_alive": True}),
    # --- RFC 9110 section 7.6.1: what describes this hop
    ("Connection is of this hop", (GET, HOST, b"Connection: keep-alive"), {"connection": None}),
    ("so is Keep-Alive", (GET, HOST, b"Keep-Alive: timeout=5"), {"keep-alive": None}),
    ("so is Proxy-Connection", (GET, HOST, b"Proxy-Connection: keep-alive"), {"proxy-connection": None}),
    ("so is TE", (GET, HOST, b"Connection: TE", b"TE: trailers"), {"te": None, "trailers": True}),
    ("TE without trailers", (GET, HOST, b"TE: gzip"), {"te": None, "trailers": False}),
    (
        "a field that Connection names",
        (GET, HOST, b"Connection: A", b"A: 1", b"B: 2"),
        {"a": None, "b": b"2"},
    ),
    (
        "but never one that counts for the other end",
        (GET, HOST, b"Connection: Content-Length, Authorization", b"Content-Length: 1", b"Authorization: x"),
        {"content-length": b"1", "authorization": b"x", "framing": 1},
    ),
    # --- RFC 9110 section 7.8: upgrade
    (
        "an upgrade",
        (GET, HOST, b"Connection: Upgrade", b"Upgrade: WebSocket"),
        {"upgrade": "websocket", "connection": None},
    ),
    ("Upgrade that Connection does not name", (GET, HOST, b"Upgrade: websocket"), {"upgrade": ""}),
    (
        "an upgrade of a request with a body is ignored",
        (POST, HOST, b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 1"),
        {"upgrade": ""},
    ),
    ("and so is one of HTTP/1.0", (OLD, b"Connection: upgrade", b"Upgrade: websocket"), {"upgrade": ""}),
    (
        "and HTTP/2's settings go no further",
        (GET, HOST, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        {"http2-settings": None, "upgrade": "h2c"},
    ),
    # --- RFC 9110 section 10.1.1: Expect
    (
        "an expectation",
        (POST, HOST, b"Expect: 100-Continue", b"Content-Length: 1"),
        {"expect_continue": True, "expect": None},
    ),
    ("one without a body", (GET, HOST, b"Expect: 100-continue"), {"expect_continue": False}),
    ("one of HTTP/1.0 is ignored", (OLD, b"Expect: x", b"Content-Length: 1"), {"expect_continue": False}),
]


@pytest.mark.parametrize(("lines", "said"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_a_head_is_read(lines, said):
    """RFC 9112 section 3 and RFC 9110: the head says this, however its bytes come."""
    head = accepted(parse, section(*lines))
    fields = dict.fromkeys(head.__slots__)
    found = {
        name: getattr(head, name) if name in fields else head.headers.get(name.encode()) for name in said
    }
    assert found == said
    assert b"host" not in head.headers


BAD = [
    # --- RFC 9112 section 3: the request line
    (400, "an empty method", (b" / HTTP/1.1", HOST)),
    (400, "a method that is no token", (b"G(T / HTTP/1.1", HOST)),
    (400, "an 8-bit method", (b"G\xc9T / HTTP/1.1", HOST)),
    (400, "two spaces behind the method", (b"GET  / HTTP/1.1", HOST)),
    (400, "two spaces behind the target", (b"GET /  HTTP/1.1", HOST)),
    (400, "a tab in place of a space", (b"GET\t/ HTTP/1.1", HOST)),
    (400, "white space behind the version", (b"GET / HTTP/1.1 ", HOST)),
    (400, "white space before the method", (b" GET / HTTP/1.1", HOST)),
    (400, "no target", (b"GET HTTP/1.1", HOST)),
    (400, "HTTP/0.9", (b"GET /", HOST)),
    (400, "a space in the target", (b"GET /a b HTTP/1.1", HOST)),
    (400, "a version in lower case", (b"GET / http/1.1", HOST)),
    (400, "a version with more digits", (b"GET / HTTP/1.10", HOST)),
    (400, "no version number", (b"GET / HTTP/", HOST)),
    (400, "another protocol", (b"GET / RTSP/1.0", HOST)),
    (400, "a NUL in the line", (b"GET /\0 HTTP/1.1", HOST)),
    (400, "a bare CR in the line", (b"GET /\r HTTP/1.1", HOST)),
    # --- RFC 9110 section 15.6.6
    (505, "HTTP/2.0", (b"GET / HTTP/2.0", HOST)),
    (505, "HTTP/1.2", (b"GET / HTTP/1.2", HOST)),
    (505, "HTTP/0.9 by name", (b"GET / HTTP/0.9", HOST)),
    (505, "HTTP/3", (b"GET / HTTP/3", HOST)),
    (505, "the preface of HTTP/2", (b"PRI * HTTP/2.0", b"", b"SM")),
    # --- RFC 9112 section 3.2: the target
    (400, "a relative target", (b"GET a HTTP/1.1", HOST)),
    (400, "an asterisk without OPTIONS", (b"GET * HTTP/1.1", HOST)),
    (400, "a fragment", (b"GET /a#b HTTP/1.1", HOST)),
    (400, "an 8-bit target", (b"GET /\xc3\xa9 HTTP/1.1", HOST)),
    (400, "an escaped NUL", (b"GET /%00 HTTP/1.1", HOST)),
    (400, "a malformed escape", (b"GET /%4 HTTP/1.1", HOST)),
    (400, "another scheme", (b"GET ftp://h/ HTTP/1.1", HOST)),
    (400, "a malformed authority", (b"GET http://u@h/ HTTP/1.1", HOST)),
    (501, "CONNECT", (b"CONNECT h:443 HTTP/1.1", b"Host: h:443")),
    (501, "CONNECT with a path", (b"CONNECT /x HTTP/1.1", HOST)),
    # --- RFC 9112 section 5: field lines
    (400, "a folded line (5.2)", (GET, HOST, b"A: 1", b" 2")),
    (400, "a folded first line", (GET, b" Host: h")),
    (400, "white space before the colon (5.1)", (GET, b"Host : h")),
    (400, "a tab before the colon", (GET, HOST, b"A\t: 1")),
    (400, "an empty name", (GET, HOST, b": x")),
    (400, "no colon", (GET, HOST, b"A")),
    (400, "a name that is no token", (GET, HOST, b"A(B): x")),
    (400, "a slash in a name", (GET, HOST, b"A/B: x")),
    (400, "an 8-bit name", (GET, HOST, b"\xc4: x")),
    (400, "a NUL in a name", (GET, HOST, b"A\0: x")),
    (400, "a NUL in a value (RFC 9110 5.5)", (GET, HOST, b"A: x\0")),
    (400, "another control in a value", (GET, HOST, b"A: \x01")),
    (400, "a DEL in a value", (GET, HOST, b"A: \x7f")),
    (400, "a bare CR in a value (RFC 9112 2.2)", (GET, HOST, b"A: x\rB: y")),
    (400, "a CR more than there should be", (GET, HOST, b"A: x\r")),
    (400, "a bare LF in a value", (GET, HOST, b"A: x\nB: y")),
    (400, "a bare LF behind the request line", (b"GET / HTTP/1.1\nHost: h",)),
    # --- RFC 9112 section 3.2 and RFC 9110 section 7.2: Host
    (400, "no Host", (GET,)),
    (400, "two Hosts", (GET, HOST, HOST)),
    (400, "two Hosts in different case", (GET, HOST, b"hOsT: h")),
    (400, "an empty Host", (GET, b"Host:")),
    (400, "a Host of white space", (GET, b"Host: \t")),
    (400, "a list of Hosts", (GET, b"Host: a, b")),
    (400, "a Host with a path", (GET, b"Host: a/b")),
    (400, "a Host with a user", (GET, b"Host: a@b")),
    (400, "a Host with a bad port", (GET, b"Host: a:99999")),
    (400, "a malformed Host beside an absolute target", (b"GET http://h/ HTTP/1.1", b"Host: a b")),
    (400, "no Host beside an absolute target", (b"GET http://h/ HTTP/1.1",)),
    (400, "two Hosts before HTTP/1.1", (OLD, HOST, HOST)),
    # --- RFC 9112 section 6: framing
    (400, "a repeated length", (POST, HOST, b"Content-Length: 1", b"Content-Length: 1")),
    (400, "a list of lengths", (POST, HOST, b"Content-Length: 1, 1")),
    (400, "a signed length", (POST, HOST, b"Content-Length: +1")),
    (400, "a negative length", (POST, HOST, b"Content-Length: -1")),
    (400, "a hexadecimal length", (POST, HOST, b"Content-Length: 0x1")),
    (400, "an underscored length", (POST, HOST, b"Content-Length: 1_0")),
    (400, "a fractional length", (POST, HOST, b"Content-Length: 1.0")),
    (400, "an empty length", (POST, HOST, b"Content-Length:")),
    (400, "a length with a space in it", (POST, HOST, b"Content-Length: 1 2")),
    (400, "a length in other digits", (POST, HOST, b"Content-Length: \xb2")),
    (400, "a length beyond 18 digits", (POST, HOST, b"Content-Length: " + b"9" * 19)),
    (400, "both framings (6.1)", (POST, HOST, b"Content-Length: 1", b"Transfer-Encoding: chunked")),
    (400, "both, the other way round", (POST, HOST, b"Transfer-Encoding: chunked", b"Content-Length: 1")),
    (400, "chunked twice", (POST, HOST, b"Transfer-Encoding: chunked, chunked")),
    (400, "chunked twice, in different case", (POST, HOST, b"Transfer-Encoding: Chunked, chunked")),
    (
        400,
        "chunked in two fields",
        (POST, HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    ),
    (400, "chunked not last", (POST, HOST, b"Transfer-Encoding: chunked, gzip")),
    (400, "not chunked", (POST, HOST, b"Transfer-Encoding: gzip")),
    (400, "identity", (POST, HOST, b"Transfer-Encoding: identity")),
    (400, "something like chunked", (POST, HOST, b"Transfer-Encoding: xchunked")),
    (400, "chunked with a parameter", (POST, HOST, b"Transfer-Encoding: chunked;q=1")),
    (400, "an empty member before it", (POST, HOST, b"Transfer-Encoding: , chunked")),
    (400, "an empty member behind it", (POST, HOST, b"Transfer-Encoding: chunked,")),
    (400, "an empty coding", (POST, HOST, b"Transfer-Encoding:")),
    (400, "a coding with a control before it", (POST, HOST, b"Transfer-Encoding: \x0bchunked")),
    (501, "a coding that would have to be undone", (POST, HOST, b"Transfer-Encoding: gzip, chunked")),
    (400, "chunked before HTTP/1.1", (b"POST / HTTP/1.0", HOST, b"Transfer-Encoding: chunked")),
    # --- RFC 9110 sections 10.1.1, 8.3 and 11.6.2
    (417, "another expectation", (POST, HOST, b"Expect: 200-ok")),
    (417, "two expectations", (POST, HOST, b"Expect: 100-continue", b"Expect: x")),
    (400, "two content types", (POST, HOST, b"Content-Type: a/b", b"Content-Type: a/c")),
    (400, "two authorisations", (POST, HOST, b"Authorization: a", b"Authorization: b")),
]


@pytest.mark.parametrize(("status", "lines"), [(row[0], row[2]) for row in BAD], ids=[row[1] for row in BAD])
def test_a_doubtful_head_is_refused(status, lines):
    """RFC 9112 section 11: nothing is guessed, and the status is the same however the bytes come."""
    assert refused(parse, section(*lines)) == status


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the hello of TLS 1.3 on a port without it
        b"\x80\x2e\x01\x03\x01",  # of SSL 2
        b"\0",
        b" ",
        b"\n",
        b"\rX",
        b"\n\nGET / HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"\xff\xfe",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO mail.example.com\r\n",
        b"\x05\x01\x00",  # SOCKS
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",  # the PROXY protocol
    ],
)
def test_what_is_not_http_is_refused_before_its_head_is_complete(data):
    """Nothing is waited for once the bytes cannot become a request any more."""
    assert refused(parse, data) == 400


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\n",
    ],
)
def test_lines_that_end_with_lf_alone_are_refused_at_once(data):
    """RFC 9112 section 2.2 lets a recipient take LF for a line's end; taking it is how smuggling begins."""
    assert refused(parse, data) == 400


@pytest.mark.parametrize("start", [b"", b"G", b"GET", b"GET ", b"GET /a HTTP/1.", b"GET / HTTP/1.1\r", b"\r"])
def test_what_may_become_a_request_is_waited_for(start):
    """A head that is cut anywhere is no head yet."""
    assert parse(start) is None


def test_one_empty_line_before_a_request_is_read_over():
    """RFC 9112 section 2.2: one, and not two."""
    data = section(GET, HOST)
    head, size = parse(b"\r\n" + data)
    assert (head.host, size) == ("h", len(data) + 2)
    assert [parse((b"\r\n" + data)[:end]) for end in range(len(data) + 1)] == [None] * (len(data) + 1)
    assert refused(parse, b"\r\n\r\n" + data) == 400


# --- limits --------------------------------------------------------------------------------------------------


def line_of(size):
    """Make a request line of so many bytes, its CRLF included."""
    return b"GET /" + b"a" * (size - 16) + b" HTTP/1.1"


def head_of(size):
    """Make a head of so many bytes before its empty line's CRLF, and that CRLF."""
    start = section(GET, HOST, b"A: ")[:-4]
    return start + b"x" * (size - len(start)) + b"\r\n\r\n"


@pytest.mark.parametrize("limit", [100, 4096, 8192])
def test_a_request_line_has_a_limit(limit):
    """RFC 9110 section 15.5.15: 414 for a longer one, as soon as it is."""
    limits = HeadLimits(line=limit)

    def limited(data):
        return parse(data, limits)

    assert len(accepted(limited, section(line_of(limit), HOST)).path) == limit - 15
    assert refused(limited, section(line_of(limit + 1), HOST)) == 414
    assert refused(limited, b"GET /" + b"a" * limit) == 414


@pytest.mark.parametrize("limit", [200, 8192, 32768, 65536, 100_000])
def test_a_head_has_a_limit(limit):
    """RFC 6585 section 5: 431 for a longer one, as soon as it is."""
    limits = HeadLimits(size=limit)

    def limited(data):
        return parse(data, limits)

    for size in range(limit - 5, limit + 1):
        data = head_of(size)
        assert limited(data)[1] == len(data) == size + 4
        assert limited(data[:-1]) is None
    assert refused(limited, head_of(limit + 1)) == 431
    assert refused(limited, head_of(limit + 50)[:-4]) == 431


@pytest.mark.parametrize("limit", [1, 2, 50, 100])
def test_fields_have_a_limit(limit):
    """RFC 6585 section 5: 431 for more of them, the repeated ones counted each."""
    limits = HeadLimits(count=limit)

    def limited(data):
        return parse(data, limits)

    assert accepted(limited, section(GET, HOST, *[b"A: 1"] * (limit - 1))).headers.get_all(b"a") == [b"1"] * (
        limit - 1
    )
    assert refused(limited, section(GET, HOST, *[b"A: 1"] * limit)) == 431


def test_the_body_is_no_part_of_the_head():
    """What stands behind the empty line counts for no limit."""
    data = section(POST, HOST, b"Content-Length: 100000")
    head, size = parse(data + b"x" * 100_000, HeadLimits(size=200))
    assert (head.framing, size) == (100_000, len(data))


@pytest.mark.parametrize(
    "name", [b"traceparent", b"Tracestate", b"b3", b"X-B3-TraceId", b"X-B3-Sampled", b"Uber-Trace-Id"]
)
def test_a_head_that_carries_a_trace_is_not_plain(name):
    """Whoever looks for a trace may leave plain heads unsplit: none of these names is in one."""
    head, _ = parser.parse_request(b"GET / HTTP/1.1\r\nHost: h\r\n%b: x\r\n\r\n" % name, HeadLimits())
    assert head.headers.raw is None
