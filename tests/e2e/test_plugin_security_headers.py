"""security-headers through a running gateway: on the upstream's answers and the gateway's own."""

from __future__ import annotations

import httpx
from e2e_gateway import config_for
from e2e_wire import closed_port

OWN = (
    b"HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: 2\r\n\r\nok"
)


async def test_every_answer_carries_them(gateway, origin):
    """The upstream's frame options stay; a failure to reach it carries them as well; HSTS is for TLS."""
    upstream = await origin(OWN)
    config = config_for(upstream.port, plugins=[{"name": "security-headers"}])
    dead = {"name": "dead", "url": f"http://127.0.0.1:{closed_port()}", "routes": [{"paths": ["/dead"]}]}
    config["services"].append(dead)
    proxy = await gateway(config, proxy_listen="127.0.0.1:0, 127.0.0.1:0 ssl")
    plain, secure = proxy.worker.addresses
    async with httpx.AsyncClient(verify=False) as client:  # a certificate made at start
        answers = [await client.get(url) for url in (plain, secure, f"{plain}/dead")]
    assert [answer.status_code for answer in answers] == [200, 200, 502]
    assert [answer.headers["x-frame-options"] for answer in answers] == ["SAMEORIGIN", "SAMEORIGIN", "DENY"]
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    assert [answer.headers.get("strict-transport-security") for answer in answers] == [
        None,
        "max-age=31536000",
        None,
    ]
    assert "x-powered-by" not in answers[0].headers
