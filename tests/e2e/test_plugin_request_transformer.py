"""request-transformer through a running gateway: what the upstream gets, and that the next request is right."""

from __future__ import annotations

import json

from e2e_gateway import config_for
from e2e_wire import OK

from proxyd.guard import Guard
from proxyd.telemetry.noted import Noted

SECRET = "0123456789abcdef0123456789abcdef"


def transforming(port, *more, route=None, **config):
    plugins = [{"name": "request-transformer", "config": config}, *more]
    return config_for(f"http://127.0.0.1:{port}/base", route=route, plugins=plugins)


async def test_everything_of_a_request_is_changed(gateway, origin, raw):
    """Path, method, Host, headers, query and body, in one request; its length follows."""
    upstream = await origin(OK)
    config = {
        "http_method": "PUT",
        "remove": {"headers": ["x-secret", "content-length"], "querystring": ["secret"], "body": ["secret"]},
        "rename": {"headers": ["x-old:X-New"], "querystring": ["old:new"], "body": ["old:new"]},
        "replace": {"uri": "/users/$(uri_captures.id)", "headers": ["host:$(headers['x-tenant']).internal"]},
        "add": {
            "headers": ["X-User: $(uri_captures['id'])", "X-Forwarded-Host:evil"],
            "body": ["user:$(uri_captures.id)"],
        },
        "append": {"headers": ["X-New:2"], "querystring": ["new:$(query_params.secret)"]},
    }
    proxy = await gateway(transforming(upstream.port, route={"paths": [r"~/u/(?<id>\d+)"]}, **config))
    client = await raw(proxy.port)
    body = b'{"secret":1,"old":1.0}'
    for framing in (
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        b"Transfer-Encoding: chunked\r\n\r\n16\r\n%b\r\n0\r\n\r\n" % body,
    ):
        answer = await client.ask(
            b"POST /u/7?secret=s&old=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"X-Secret: 1\r\nX-Old: 1\r\nX-Tenant: ann\r\n" + framing
        )
        assert answer.status == 200
        request = upstream.requests[-1]
        assert request.start == "PUT /users/7?new=1&new=s HTTP/1.1"
        assert (request.all("host"), request["x-forwarded-host"]) == (["ann.internal"], "x")
        assert (request.all("x-new"), request["x-user"], "x-secret" in request) == (["1", "2"], "7", False)
        assert request.body == b'{"new":1.0,"user":"7"}'
        assert (request.all("content-length"), "transfer-encoding" in request) == (
            [str(len(request.body))],
            False,
        )


async def test_no_body_waits_for_the_record(gateway, origin, raw, monkeypatch):
    """What is kept of a finished request, up to 20 000 of them, are neither its body nor the answer's."""
    noted = []
    monkeypatch.setattr(Noted, "note", lambda _noted, exchange: noted.append(exchange))
    upstream = await origin(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    answer_too = {"name": "response-transformer", "config": {"add": {"json": ["b:2"]}}}
    proxy = await gateway(transforming(upstream.port, answer_too, add={"body": ["a:1"]}))
    client = await raw(proxy.port)
    answer = await client.ask(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert (upstream.requests[-1].body, answer.body) == (b'{"a":"1"}', b'{"b":"2"}')
    assert [(one.buffered, one.context) for one in noted] == [(None, {})]


async def test_a_signature_covers_what_is_sent(gateway, origin, raw):
    """internal-key runs behind: target, method and body are the changed ones."""
    upstream = await origin(OK)
    key = {"name": "internal-key", "config": {"keys": [{"id": "k", "secret": SECRET}], "sign_body": True}}
    config = {
        "http_method": "PUT",
        "replace": {"uri": "/other"},
        "add": {"querystring": ["a:1"], "body": ["b:2"]},
    }
    proxy = await gateway(transforming(upstream.port, key, **config))
    client = await raw(proxy.port)
    await client.ask(
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    request = await upstream.request()
    assert (request.start, request.body) == ("PUT /other?a=1 HTTP/1.1", b'{"b":"2"}')
    headers = {name.lower(): value for name, value in request.fields}
    check_body = Guard({"k": SECRET}, require_body=True).check("PUT", "/other?a=1", headers)
    check_body(request.body)


async def test_a_line_end_in_a_value_makes_no_header(gateway, origin, raw):
    """The request is refused, the reason is in the log, and the connection goes on."""
    upstream = await origin(OK)
    proxy = await gateway(transforming(upstream.port, add={"headers": ["X-Name:$(query_params.name)"]}))
    client = await raw(proxy.port)
    evil = await client.ask(b"GET /?name=a%0d%0aTransfer-Encoding:%20chunked HTTP/1.1\r\nHost: x\r\n\r\n")
    good = await client.ask(b"GET /?name=a%20b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (evil.status, good.status) == (400, 200)
    assert [request["x-name"] for request in upstream.requests] == ["a b"]
    lines = await proxy.log_lines(2)
    assert lines[0]["error_cause"] == "request-transformer: a value cannot stand in a header"


async def test_a_body_over_the_limit_is_refused(gateway, origin, raw):
    """It is not passed on with what was to be taken out."""
    upstream = await origin(OK)
    config = {"remove": {"body": ["secret"]}, "max_body_size": 16}
    proxy = await gateway(transforming(upstream.port, **config))
    client = await raw(proxy.port)
    body = json.dumps({"secret": "x" * 32}).encode()
    answer = await client.ask(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )
    assert (answer.status, upstream.requests) == (413, [])


async def test_head_may_be_asked_as_get(gateway, origin, raw):
    """The client gets no body, and its next answer is right."""
    upstream = await origin(OK)
    proxy = await gateway(transforming(upstream.port, http_method="GET"))
    client = await raw(proxy.port)
    for _ in range(2):
        answer = await client.ask(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (answer.status, answer["content-length"]) == (200, "2")
    assert [request.start for request in upstream.requests] == ["GET /base/a HTTP/1.1"] * 2
    assert client.received.endswith(b"\r\n\r\n")
