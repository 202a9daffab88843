"""ip-restriction through a running gateway: it sees the address that a trusted proxy forwarded."""

from __future__ import annotations

from e2e_gateway import config_for
from e2e_wire import OK


async def test_the_forwarded_address_counts(gateway, origin, raw):
    """As trusted_ips and real_ip_header say."""
    upstream = await origin(OK)
    plugins = [{"name": "ip-restriction", "config": {"deny": ["198.51.100.0/24"]}}]
    proxy = await gateway(config_for(upstream.port, plugins=plugins), trusted_ips="127.0.0.1")
    client = await raw(proxy.port)
    answers = [
        await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nX-Real-IP: %b\r\n\r\n" % address)
        for address in (b"198.51.100.7", b"203.0.113.7")
    ]
    assert [answer.status for answer in answers] == [403, 200]
    assert b"IP address not allowed: 198.51.100.7" in answers[0].body
