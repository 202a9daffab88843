"""Requests that two servers might read differently: the origin sees one plain request, or nothing.

Each case is sent with a marker request right behind it. Whatever is refused ends the connection with an answer;
whatever is let through arrives as exactly one request, and the marker as the next.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from e2e_wire import OK

MARKER = b"GET /marker HTTP/1.1\r\nHost: m\r\n\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"


def post(*lines: bytes, body: bytes = b"", host: bytes = b"Host: x\r\n") -> bytes:
    return b"POST /outer HTTP/1.1\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


def get(*lines: bytes, target: bytes = b"/outer") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


REFUSED = {
    # two ways to say how long the body is
    "CL.TE": post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG"),
    "TE.CL": post(
        b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"5c\r\n" + INNER + b"\r\n0\r\n\r\n"
    ),
    "CL.CL": post(b"Content-Length: 0", b"Content-Length: 40", body=INNER),
    "equal CLs": post(b"Content-Length: 1", b"Content-Length: 1", body=b"x"),
    "CL list": post(b"Content-Length: 1, 1", body=b"x"),
    "TE.TE": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "TE twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "TE chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "TE identity": post(b"Transfer-Encoding: identity", body=INNER),
    "TE xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "TE chunked;q": post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
    "TE quoted": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "TE vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "TE empty": post(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
    "TE in HTTP/1.0": b"POST /outer HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # lengths that are read in more than one way
    "CL signed": post(b"Content-Length: +5", body=b"hello"),
    "CL negative": post(b"Content-Length: -5", body=b"hello"),
    "CL hexadecimal": post(b"Content-Length: 0x5", body=b"hello"),
    "CL with underscore": post(b"Content-Length: 1_0", body=b"0123456789"),
    "CL with a space": post(b"Content-Length: 1 0", body=b"0123456789"),
    "CL empty": post(b"Content-Length:", body=b""),
    "CL huge": post(b"Content-Length: 99999999999999999999999", body=b""),
    "CL in other digits": post("Content-Length: \u0665".encode(), body=b"hello"),
    # lines
    "space before colon": post(b"Content-Length : 5", body=b"hello"),
    "tab before colon": post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"),
    "obs-fold": post(b"X: 1", b" Content-Length: 5", body=b"hello"),
    "obs-fold of the coding": post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n"),
    "obs-fold at the start": b"GET /outer HTTP/1.1\r\n X: 1\r\nHost: x\r\n\r\n",
    "bare LF line": b"GET /outer HTTP/1.1\r\nHost: x\nContent-Length: 40\r\n\r\n" + INNER,
    "bare LF head": b"GET /outer HTTP/1.1\nHost: x\n\n",
    "LF CR": b"GET /outer HTTP/1.1\r\nHost: x\n\r\n\r\n",
    "bare CR in a value": post(b"X: 1\rContent-Length: 5", body=b"hello"),
    "bare CR at the end": b"GET /outer HTTP/1.1\rHost: x\r\r",
    "NUL in a value": get(b"Host: x", b"X: a\0b"),
    "NUL in a name": get(b"Host: x", b"X\0: a"),
    "no colon": get(b"Host: x", b"X"),
    "no name": get(b"Host: x", b": x"),
    "space in a name": get(b"Host: x", b"X Y: z"),
    "control in a value": get(b"Host: x", b"X: a\x01b"),
    "DEL in a value": get(b"Host: x", b"X: a\x7fb"),
    "name in Latin-1": get(b"Host: x", b"\xe9: a"),
    # whose host it is
    "no Host": get(),
    "two Hosts": get(b"Host: x", b"Host: evil"),
    "two equal Hosts": get(b"Host: x", b"Host: x"),
    "Host list": get(b"Host: x, evil"),
    "empty Host": get(b"Host:"),
    "Host with a path": get(b"Host: x/evil"),
    "Host with a user": get(b"Host: x@evil"),
    "Host with a space": get(b"Host: x evil"),
    "Host with a bad port": get(b"Host: x:99999"),
    "absolute target with a user": get(b"Host: x", target=b"http://a@evil/outer"),
    # the request line
    "two spaces": b"GET  /outer HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab": b"GET\t/outer HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in the target": b"GET /outer x HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /outer\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET /outer HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2.0 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /outer\r\n",
    "http in lower case": b"GET /outer http/1.1\r\nHost: x\r\n\r\n",
    "version with a space": b"GET /outer HTTP/1.1 \r\nHost: x\r\n\r\n",
    "fragment": get(b"Host: x", target=b"/outer#x"),
    "relative target": get(b"Host: x", target=b"outer"),
    "other scheme": get(b"Host: x", target=b"ftp://x/outer"),
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
    "asterisk": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw UTF-8 in the target": get(b"Host: x", target="/ä".encode()),
    "method with a control": b"GE\x01T /outer HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS hello": bytes.fromhex("16030100f8010000f40303") + bytes(64),
    # chunks
    "chunk size in 0x": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size signed": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size negative": chunked(b"-1\r\n\r\n0\r\n\r\n"),
    "chunk size with a space before": chunked(b" 5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with a space behind": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
    "chunk size with underscore": chunked(b"1_0\r\n0123456789012345\r\n0\r\n\r\n"),
    "chunk size overflows": chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "no chunk size": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "chunk line ends with LF": chunked(b"5\nhello\r\n0\r\n\r\n"),
    "chunk data ends with LF": chunked(b"5\r\nhello\n0\r\n\r\n"),
    "chunk data too long": chunked(b"5\r\nhelloX\r\n0\r\n\r\n"),
    "bare LF in an extension": chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "bare CR in an extension": chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "last chunk with LF": chunked(b"0\n\n"),
    "trailer with a bare LF": chunked(b"0\r\nX: 1\nY: 2\r\n\r\n"),
    "trailer without a colon": chunked(b"0\r\nX\r\n\r\n"),
    "folded trailer": chunked(b"0\r\nX: 1\r\n 2\r\n\r\n"),
}

# What looks odd and is plain: how the origin reads it.
PLAIN = {
    "absolute target": (get(b"Host: other", target=b"http://x/outer"), "GET /outer HTTP/1.1", b""),
    "coding in capitals": (post(b"TRANSFER-ENCODING: Chunked", body=b"1\r\nx\r\n0\r\n\r\n"), None, b"x"),
    "white space around the coding": (
        post(b"Transfer-Encoding: \t chunked \t", body=b"1\r\nx\r\n0\r\n\r\n"),
        None,
        b"x",
    ),
    "length with zeros": (post(b"Content-Length: 0005", body=b"hello"), None, b"hello"),
    "body of a GET": (
        b"GET /outer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "GET /outer HTTP/1.1",
        b"hello",
    ),
    "a request for a body": (post(b"Content-Length: %d" % len(INNER), body=INNER), None, INNER),
    "a request in a chunk": (chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)), None, INNER),
    "capital chunk size": (chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), None, b"0123456789"),
    "a request for a trailer": (chunked(b"0\r\nGET: /smuggled HTTP/1.1\r\n\r\n"), None, b""),
    "Content-Length named in Connection": (
        post(b"Connection: content-length", b"Content-Length: 5", body=b"hello"),
        None,
        b"hello",
    ),
    "upgrade with a body": (
        post(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"hello"),
        None,
        b"hello",
    ),
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED)
async def test_a_doubtful_request_is_refused(gateway, origin, raw, request_bytes):
    """It is answered once and its connection closed; no request of it is seen by the origin, nor the one behind it."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(request_bytes + MARKER)
    answer = await client.message()
    assert (answer.status // 100, answer["connection"]) in {(4, "close"), (5, "close")}
    assert answer.status in {400, 501, 505}
    assert await client.rest() == b""
    assert upstream.requests == []
    assert b"smuggled" not in upstream.bytes
    assert b"marker" not in upstream.bytes


@pytest.mark.parametrize(("request_bytes", "start", "body"), PLAIN.values(), ids=PLAIN)
async def test_an_odd_request_means_the_same_to_both(gateway, origin, raw, request_bytes, start, body):
    """It arrives as exactly one request with the body that it has, framed in one way, and the next one behind it."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(request_bytes + MARKER)
    assert [(await client.message()).status for _ in range(2)] == [200, 200]
    first, second = upstream.requests
    assert (first.start, first.body) == (start or "POST /outer HTTP/1.1", body)
    assert ("content-length" in first) + ("transfer-encoding" in first) == (
        1 if body else len(first.all("transfer-encoding"))
    )
    assert second.start == "GET /marker HTTP/1.1"
    assert len(first.all("host")) == len(second.all("host")) == 1


@pytest.mark.parametrize("size", [1, 7])
async def test_a_doubtful_request_is_refused_however_it_is_cut(gateway, origin, raw, size):
    """The verdict on each case does not depend on where its segments end, and each has a line with its cause."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, worker_connections=10)
    wrong = []
    for name, request_bytes in REFUSED.items():
        client = await raw(proxy.port)
        pieces = [request_bytes[i : i + size] for i in range(0, len(request_bytes), size)]
        with contextlib.suppress(ConnectionError):  # refused before all of it is out
            await client.send(*pieces, MARKER)
        await asyncio.sleep(0)
        received = await client.rest()
        if received.count(b"HTTP/1.1 ") != 1 or b"Connection: close" not in received:
            wrong.append((name, received))
        client.close()
    assert wrong == []
    assert upstream.requests == []
    lines = await proxy.log_lines(len(REFUSED))
    assert len(lines) == len(REFUSED)
    assert all(line["error_cause"] and line["status"] in {400, 501, 505} for line in lines)


async def test_an_incomplete_request_is_nothing_to_the_origin(gateway, origin, raw):
    """A head without its end reaches nobody, whatever the client does then."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    for part in (b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r"):
        client = await raw(proxy.port)
        await client.send(part)
        client.half_close()
        assert await client.rest() == b""
    assert upstream.wires == []


async def test_the_absolute_target_names_the_host(gateway, origin, raw):
    """RFC 9112 section 3.2.2: Host of an absolute target is replaced, for routing and for the origin."""
    upstream = await origin(OK)
    config = {
        "_format_version": "3.0",
        "services": [
            {
                "name": "s",
                "url": upstream.url,
                "routes": [{"name": "only", "hosts": ["true.example"], "preserve_host": True}],
            }
        ],
    }
    proxy = await gateway(config)
    client = await raw(proxy.port)
    answer = await client.ask(b"GET http://true.example/a HTTP/1.1\r\nHost: other.example\r\n\r\n")
    assert answer.status == 200
    assert upstream.requests[0].all("host") == ["true.example"]
    answer = await client.ask(b"GET http://other.example/a HTTP/1.1\r\nHost: true.example\r\n\r\n")
    assert answer.status == 404
