"""csrf through a running gateway: before authentication, and for pages of other origins behind cors."""

from __future__ import annotations

from e2e_gateway import config_for
from e2e_wire import OK

APP = "https://app.example.com"


async def test_another_site_s_request_is_refused_before_anything_believes_its_cookie(gateway, origin, raw):
    """The refusal can be read by pages that cors names; those that csrf names too are let in."""
    upstream = await origin(OK)
    plugins = [
        {"name": "cors", "config": {"origins": [APP], "credentials": True}},
        {"name": "csrf", "config": {"allowed_origins": [APP]}},
        {"name": "basic-auth"},
    ]
    proxy = await gateway(config_for(upstream.port, plugins=plugins))
    client = await raw(proxy.port)
    ask = (
        b"POST / HTTP/1.1\r\nHost: api.example.com\r\nCookie: s=1\r\nContent-Length: 0\r\nOrigin: %b\r\n\r\n"
    )
    evil = await client.ask(ask % b"https://evil.example")
    ours = await client.ask(ask % APP.encode())
    assert (evil.status, ours.status) == (403, 401)
    assert b"Cross-site request refused" in evil.body
    assert ours["access-control-allow-origin"] == APP
    assert upstream.requests == []
