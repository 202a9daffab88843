"""The gateway's own answers, byte for byte."""

from __future__ import annotations

import pytest

from proxyd.exchange import Client, Exchange, Reply
from proxyd.gateway.reply import MAX_ACCEPT, negotiate, render
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead

SHAPES = {
    b"application/json": b'{\n  "message":"a <b> & \\"c\\"",\n  "request_id":"abc"\n}',
    b"text/plain": b'a <b> & "c"\nrequest_id: abc\n',
    b"application/xml": (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<error>\n'
        b"  <message>a &lt;b&gt; &amp; &quot;c&quot;</message>\n  <requestid>abc</requestid>\n</error>\n"
    ),
    b"text/html": (
        b'<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n'
        b"    <title>a &lt;b&gt; &amp; &quot;c&quot;</title>\n  </head>\n  <body>\n"
        b"    <h1>a &lt;b&gt; &amp; &quot;c&quot;</h1>\n    <p>Request id: abc</p>\n  </body>\n</html>\n"
    ),
}


@pytest.mark.parametrize("accept", SHAPES)
def test_each_shape(accept):
    """Kong's JSON and text to the byte; markup in the message is escaped in the others."""
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers.of([(b"Accept", accept)]), 0, keep_alive=True)
    exchange = Exchange(head, Client("192.0.2.1", 1, "http", 80), 0.0)
    exchange.request_id = "abc"
    headers, body = render(Reply(404, 'a <b> & "c"'), exchange, "text/plain")
    assert (headers.encode(), body) == (
        b"Content-Type: " + accept + b"; charset=utf-8\r\n",
        SHAPES[accept],
    )


@pytest.mark.parametrize(
    ("accept", "shape"),
    [
        (b"text/*", "html"),
        (b"application/*", "json"),
        (b"application/*;q=0.1, text/plain;q=0.2", "plain"),
        (b"text/html;q=nan, text/plain;q=0.1", "plain"),
        (b"text/html;q=-1, text/plain;q=0.1", "plain"),
        (b"text/html;q=", "json"),
        (b"text/html;level=1;q=0.4, text/plain;Q=0.3", "html"),
        (b"text/plain;q=1.5, text/html", "plain"),
        (b"text/plain, text/html", "plain"),
        (b"\xff\xfe;q=\xff, text/plain", "plain"),
        (b"text/html-ish, text", "json"),
        (b" " * MAX_ACCEPT + b"text/html", "json"),
    ],
)
def test_odd_accept_values(accept, shape):
    """A wildcard stands for its first shape, of equals the first wins, and rubbish asks for nothing."""
    assert negotiate(accept) == shape
