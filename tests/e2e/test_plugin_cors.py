"""cors through a running gateway: before authentication, and on the gateway's own errors."""

from __future__ import annotations

from e2e_gateway import config_for
from e2e_wire import OK


async def test_a_locked_route_answers_preflights_and_lets_pages_read_its_refusals(gateway, origin, raw):
    """The preflight has no key; the 401 carries the headers, or the page would see a network error."""
    upstream = await origin(OK)
    config = config_for(
        upstream.port,
        plugins=[
            {"name": "key-auth"},
            {"name": "cors", "config": {"origins": ["https://a.example", "https://b.example"]}},
        ],
    )
    proxy = await gateway(config)
    client = await raw(proxy.port)
    asking = b"Host: x\r\nOrigin: https://a.example\r\n"
    preflight = await client.ask(
        b"OPTIONS / HTTP/1.1\r\n%bAccess-Control-Request-Method: PUT\r\n\r\n" % asking
    )
    refused = await client.ask(b"GET / HTTP/1.1\r\n%b\r\n" % asking)
    missing = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example.evil.org\r\n\r\n")
    assert (preflight.status, preflight.body, refused.status) == (200, b"", 401)
    assert [answer["access-control-allow-origin"] for answer in (preflight, refused)] == [
        "https://a.example"
    ] * 2
    assert ("access-control-allow-origin" in missing, missing["vary"]) == (False, "Origin")
    assert upstream.requests == []
