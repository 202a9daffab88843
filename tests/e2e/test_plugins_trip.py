"""Each plugin once through a running gateway: told by a file, seen on both sides and in the log."""

from __future__ import annotations

import json
import re

from e2e_gateway import config_for
from e2e_wire import OK

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def with_plugin(port, name, **config):
    return config_for(port, plugins=[{"name": name, "config": config}])


async def test_a_correlation_id_goes_up_and_comes_back(gateway, origin, raw):
    """One id per request, the same on both sides; a client that has one keeps it."""
    upstream = await origin(OK)
    proxy = await gateway(
        with_plugin(upstream.port, "correlation-id", header_name="X-Correlation", echo_downstream=True)
    )
    client = await raw(proxy.port)
    seen = []
    for line in (b"", b"", b"x-correlation: mine\r\n"):
        answer = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n" % line)
        seen.append(answer["x-correlation"])
    assert [request["x-correlation"] for request in upstream.requests] == seen
    first, second, own = seen
    assert re.fullmatch(UUID + "#1", first)
    assert second == first.replace("#1", "#2")
    assert own == "mine"


async def test_a_correlation_id_is_kept_from_the_client_unless_asked_for(gateway, origin, raw):
    """echo_downstream is off."""
    upstream = await origin(OK)
    proxy = await gateway(with_plugin(upstream.port, "correlation-id"))
    client = await raw(proxy.port)
    answer = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "kong-request-id" in await upstream.request()
    assert "kong-request-id" not in answer


async def test_a_tracker_tells_the_connections_apart(gateway, origin, raw):
    """By a number of each, and one of each request on it."""
    upstream = await origin(OK)
    proxy = await gateway(with_plugin(upstream.port, "correlation-id", generator="tracker"))
    for _ in range(2):
        client = await raw(proxy.port)
        for _ in range(2):
            assert (await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200
    seen = [request["kong-request-id"].split("-")[3:5] for request in upstream.requests]
    assert [requests for _, requests in seen] == ["1", "2", "1", "2"]
    assert len({connection for connection, _ in seen}) == 2


async def test_a_terminated_request_never_reaches_the_upstream(gateway, origin, raw):
    """The trigger decides; the connection goes on behind the answer, and each request has its line in the log."""
    upstream = await origin(OK)
    proxy = await gateway(
        with_plugin(
            upstream.port, "request-termination", status_code=451, message="Not here", trigger="X-Stop"
        )
    )
    client = await raw(proxy.port)
    refused = await client.ask(b"GET /a HTTP/1.1\r\nHost: x\r\nX-Stop: 1\r\n\r\n")
    passed = await client.ask(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (refused.status, refused.body) == (451, b'{"message":"Not here"}')
    assert refused["content-type"] == "application/json; charset=utf-8"
    assert passed.status == 200
    assert [request.start for request in upstream.requests] == ["GET /b HTTP/1.1"]
    lines = await proxy.log_lines(2)
    assert [(line["path"], line["status"]) for line in lines] == [("/a", 451), ("/b", 200)]


async def test_an_echo_shows_what_earlier_plugins_did(gateway, origin, raw):
    """The plugins run in Kong's order, whatever the file's: the id is there when the request is echoed."""
    upstream = await origin(OK)
    config = with_plugin(upstream.port, "request-termination", status_code=200, echo=True)
    config["plugins"].append({"name": "correlation-id", "config": {"header_name": "X-Id"}})
    proxy = await gateway(config)
    client = await raw(proxy.port)
    answer = await client.ask(b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n")
    told = json.loads(answer.body)
    assert (told["request"]["path"], told["request"]["query"]) == ("/a", {"b": "c"})
    assert re.fullmatch(UUID + "#1", told["request"]["headers"]["x-id"])
    assert told["matched_route"]["name"] == "main"
    assert upstream.requests == []
