"""Bots in front of a running gateway."""

from __future__ import annotations

from e2e_gateway import config_for
from e2e_wire import OK


async def test_a_bot_is_refused(gateway, origin, raw):
    """403 in the form that it accepts, before anybody asks for its key; others go on."""
    upstream = await origin(OK)
    plugins = [{"name": "bot-detection", "config": {"deny": ["^bad/"]}}, {"name": "key-auth"}]
    proxy = await gateway(config_for(upstream.port, plugins=plugins))
    client = await raw(proxy.port)
    asked = [
        (b"User-Agent: bad/1\r\n", 403),
        (b"User-Agent: a\r\nUser-Agent: b\r\n", 400),
        (b"User-Agent: c\r\n", 401),
    ]
    for lines, status in asked:
        answer = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n%b\r\n" % lines)
        assert answer.status == status
        assert b"request_id" in answer.body
    assert upstream.requests == []
