"""request-termination: what it may be told, and what it answers."""

from __future__ import annotations

import json

import pytest
from conversation import GET, OK, UP, service
from plugin_case import Body
from pydantic import ValidationError

from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.entities import Route, Service
from proxyd.plugin import Scope
from proxyd.plugins.request_termination import Config, RequestTermination


def plugin(**config):
    return RequestTermination(Config(**config), "id", Scope())


def exchange(*fields, query=""):
    head = RequestHead("GET", "/a" + query, "/a", query, 1, "h", Headers.of(fields), 0, keep_alive=True)
    return Exchange(head, Client("192.0.2.1", 4000, "http", 8000), 0.0)


# --- config --------------------------------------------------------------------------------------------------


def test_defaults():
    """Kong's."""
    assert Config().model_dump() == {
        "status_code": 503,
        "message": None,
        "content_type": None,
        "body": None,
        "echo": False,
        "trigger": None,
    }


@pytest.mark.parametrize(
    "config",
    [
        {"status_code": 199},
        {"status_code": 600},
        {"status_code": "ok"},
        {"message": "a", "body": "b"},
        {"message": "a", "content_type": "b/c"},
        {"content_type": "b/c"},
        {"content_type": "a\r\nb: c", "body": "d"},
        {"echo": True, "body": "b"},
        {"message": ""},
        {"trigger": ""},
        {"unknown": 1},
    ],
)
def test_what_contradicts_itself_is_refused(config):
    """Message is for JSON, body and content_type for anything else; echo makes its own."""
    with pytest.raises(ValidationError):
        Config(**config)


# --- phases --------------------------------------------------------------------------------------------------

JSON = b"application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("config", "status", "content_type", "body"),
    [
        ({}, 503, JSON, b'{"message":"Service unavailable"}'),
        ({"status_code": 404}, 404, JSON, b'{"message":"Not found"}'),
        ({"status_code": 418}, 418, None, b""),
        ({"status_code": 403, "message": 'So "long"'}, 403, JSON, b'{"message":"So \\"long\\""}'),
        ({"body": "<p>"}, 503, JSON, b"<p>"),
        ({"body": "<p>é", "content_type": "text/html"}, 503, b"text/html", "<p>é".encode()),
        ({"status_code": 200, "body": ""}, 200, JSON, b""),
    ],
)
def test_it_answers(config, status, content_type, body):
    """With the message in JSON, or with the body as it is."""
    reply = plugin(**config).access(exchange())
    assert (reply.status, reply.headers.get(b"content-type"), reply.body) == (status, content_type, body)


@pytest.mark.parametrize(
    ("request_", "answers"),
    [
        (exchange(), False),
        (exchange((b"X-Stop", b"")), True),
        (exchange((b"x-stop", b"0")), True),
        (exchange(query="?X-Stop"), True),
        (exchange(query="?a=b&X-Stop=1"), True),
        (exchange(query="?X%2DStop=1"), True),
        (exchange(query="?x-stop=1"), False),
        (exchange(query="?a=X-Stop"), False),
        (exchange((b"Other", b"X-Stop")), False),
    ],
)
def test_a_trigger_limits_it(request_, answers):
    """A header in any case of letters, or a query argument in just that one."""
    assert (plugin(trigger="X-Stop").access(request_) is not None) is answers


async def test_an_echo_tells_what_was_asked():
    """For debugging, in Kong's form: the request, its body and what it matched."""
    fields = [
        (b"Accept", b"a/b"),
        (b"X-Twice", b"1"),
        (b"X-Twice", b"2"),
        (b"Content-Type", b"application/json"),
    ]
    request = exchange(*fields, query="?c=d&e=1&e=2&f")
    request.route = Route(id="r-id", name="r")
    request.service = Service(id="s-id", name="s", host="h")
    request.captures = {1: "a", "name": "a"}
    request.request.framing, request.body = 9, Body(request, b'{"a":[1]}')
    body = json.loads((await plugin(echo=True, message="here", trigger="c").access(request)).body)
    assert (body["message"], body["matched_route"]["name"], body["matched_service"]["host"]) == (
        "here",
        "r",
        "h",
    )
    assert body["request"] == {
        "scheme": "http",
        "host": "h",
        "port": 8000,
        "method": "GET",
        "path": "/a",
        "query": {"c": "d", "e": ["1", "2"], "f": ""},
        "headers": {"accept": "a/b", "x-twice": ["1", "2"], "content-type": "application/json"},
        "uri_captures": {"1": "a", "name": "a"},
        "body": {"a": [1]},
        "raw_body": '{"a":[1]}',
    }


@pytest.mark.parametrize(
    ("content_type", "raw", "read"),
    [
        (
            b"application/x-www-form-urlencoded; charset=utf-8",
            b"a=1&b=x+y&a=2",
            {"a": ["1", "2"], "b": "x y"},
        ),
        (b"application/json", b"{", None),
        (b"text/plain", b"\xff", None),
    ],
)
def test_an_echo_reads_what_it_can(content_type, raw, read):
    """A form and JSON are told as what they say; a body that was read before is at hand."""
    request = exchange((b"Content-Type", content_type))
    request.buffered = raw
    told = json.loads(plugin(echo=True).access(request).body)["request"]
    assert (told["body"], told["raw_body"]) == (read, raw.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("host", "told"),
    [("h:81", ("h", 81)), ("[::1]:81", ("[::1]", 81)), ("[::1]", ("[::1]", 8000)), ("", ("", 8000))],
)
def test_an_echo_tells_host_and_port_apart(host, told):
    """Where the host names no port, it is the listener's."""
    request = exchange()
    request.request.host = host
    said = json.loads(plugin(echo=True).access(request).body)["request"]
    assert (said["host"], said["port"]) == told


# --- in a gateway --------------------------------------------------------------------------------------------


async def test_a_terminated_request_goes_nowhere(talk):
    """Answer after answer, from one reply that nobody changes; what has no trigger passes."""
    config = {"status_code": 410, "message": "gone", "trigger": "stop"}
    client = await talk.start(service(plugins=[{"name": "request-termination", "config": config}]))
    asked = GET.replace(b"/ ", b"/?stop ")
    gone = (
        b"HTTP/1.1 410 Gone\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 18\r\n\r\n"
        b'{"message":"gone"}'
    )
    await talk(
        client.sends(asked),
        client.receives(gone),
        client.sends(asked),
        client.receives(gone),
        client.sends(GET),
        talk.upstream.receives(UP),
        talk.upstream.sends(OK),
        client.receives(OK),
        talk.logged("GET / 410", "GET / 410", "GET / 200"),
    )
