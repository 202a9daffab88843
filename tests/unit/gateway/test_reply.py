"""The gateway's own answers, in the shape that the client accepts."""

from __future__ import annotations

import json

import pytest

from proxyd.errors import GatewayError, Kind
from proxyd.exchange import Client, Exchange, Reply
from proxyd.gateway.reply import message_for, negotiate, render
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead


def exchange(*fields):
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers.of(fields), 0, keep_alive=True)
    one = Exchange(head, Client("192.0.2.1", 1, "http", 80), 0.0)
    one.request_id = "abc"
    return one


@pytest.mark.parametrize(
    ("accept", "shape"),
    [
        (None, "json"),
        (b"", "json"),
        (b"*/*", "json"),
        (b"application/json", "json"),
        (b"text/html", "html"),
        (b"Text/HTML", "html"),
        (b"application/xml", "xml"),
        (b"text/plain", "plain"),
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        (b"text/html;q=0.5, application/json", "json"),
        (b"text/html;q=0.5, text/plain;q=0.6", "plain"),
        (b"text/html ; charset=utf-8 ; q = 0.9, application/json;q=0.1", "html"),
        (b"text/html;q=0", "json"),
        (b"text/html;q=x, text/plain;q=0.1", "plain"),
        (b"image/png", "json"),
        (b",,;", "json"),
        (b"a/b," * 1000 + b"text/html", "json"),
    ],
)
def test_what_the_client_accepts_decides_the_shape(accept, shape):
    """RFC 9110 section 12.5.1: the highest quality of the four, JSON where none is named."""
    assert negotiate(accept) == shape


BODIES = {
    b"application/json": (
        b"application/json; charset=utf-8",
        b'{\n  "message":"Not <found>",\n  "request_id":"abc"\n}',
    ),
    b"text/plain": (b"text/plain; charset=utf-8", b"Not <found>\nrequest_id: abc\n"),
}


@pytest.mark.parametrize("accept", BODIES)
def test_the_message_and_the_request_id_are_in_every_shape(accept):
    """Kong's JSON, and its like in text."""
    headers, body = render(Reply(404, "Not <found>"), exchange((b"Accept", accept)), "text/plain")
    assert (headers.get(b"content-type"), body) == BODIES[accept]


@pytest.mark.parametrize("accept", [b"text/html", b"application/xml"])
def test_markup_in_a_message_is_escaped(accept):
    """A message may hold what a client sent."""
    headers, body = render(Reply(404, "<script>&"), exchange((b"Accept", accept)), "text/plain")
    assert headers.get(b"content-type") == accept + b"; charset=utf-8"
    assert b"<script>" not in body
    assert b"&lt;script&gt;&amp;" in body
    assert b"abc" in body


def test_a_message_in_json_is_json():
    """Quotes and controls are escaped."""
    _, body = render(Reply(404, 'a "quoted"\nline'), exchange(), "text/plain")
    assert json.loads(body) == {"message": 'a "quoted"\nline', "request_id": "abc"}


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ((), b"text/html"),
        (((b"Accept", b"application/json"),), b"application/json"),
        (((b"Content-Type", b"application/xml"),), b"application/xml"),
        (((b"Accept", b"text/plain"), (b"Content-Type", b"application/xml")), b"text/plain"),
    ],
)
def test_a_fault_has_a_shape_of_its_own_where_none_is_asked_for(fields, shape):
    """error_default_type, behind what the client sends itself."""
    headers, _ = render(Reply(502, fault=True), exchange(*fields), "text/html")
    assert headers.get(b"content-type") == shape + b"; charset=utf-8"


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, b"Bad request"), (413, b"Payload too large"), (505, b"HTTP Version Not Supported"), (599, b"")],
)
def test_a_status_has_a_message(status, message):
    """Kong's where it has one, the registered phrase otherwise."""
    _, body = render(Reply(status, fault=True), exchange(), "text/plain")
    assert body == message + b"\nrequest_id: abc\n"


def test_a_body_goes_out_as_it_is():
    """And the reply's own headers are not changed by who adds to them."""
    own = Headers.of([(b"Content-Type", b"a/b")])
    reply = Reply(200, body=b"<raw>", headers=own)
    headers, body = render(reply, exchange(), "text/plain")
    headers.set(b"X", b"1")
    assert (headers.get(b"content-type"), body, own.get(b"x")) == (b"a/b", b"<raw>", None)


@pytest.mark.parametrize("kind", list(Kind))
def test_no_cause_is_told_to_the_client(kind):
    """Which address refused, and why a certificate failed, stay in the log."""
    failure = GatewayError(kind, "10.0.0.1:80: secret")
    assert "10.0.0.1" not in message_for(failure)
    assert message_for(failure)
