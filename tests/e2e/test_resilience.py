"""Backends that fail, hang and recover behind a gateway that keeps their upstream up."""

from __future__ import annotations

import aiohttp
from e2e_wire import OK

BAD = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad"
POST = b"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n"


def config(*ports, service=None, **resilience):
    return {
        "_format_version": "3.0",
        "upstreams": [
            {
                "name": "api",
                "targets": [{"target": f"127.0.0.1:{port}"} for port in ports],
                "resilience": resilience,
            }
        ],
        "services": [
            {
                "name": "backend",
                "host": "api",
                "routes": [{"name": "main", "paths": ["/"]}],
                **(service or {}),
            }
        ],
    }


async def asked(proxy, path):
    async with aiohttp.ClientSession() as session, session.get(proxy.status_url + path) as answer:
        return await answer.text() if path == "/metrics" else await answer.json()


class Moody:
    """An origin that answers what it feels like."""

    def __init__(self):
        self.answer = BAD
        self.requests = 0

    async def __call__(self, wire):
        try:
            while True:
                await wire.message()
                self.requests += 1
                await wire.send(self.answer)
        except EOFError:
            pass


async def test_a_failing_target_is_out_for_a_while(gateway, origin, raw, events):
    """Clients see no more failures than it takes; when its time is over, it has another chance."""
    moody = Moody()
    bad, good = await origin(moody), await origin(OK)
    rules = {"consecutive_5xx": 3, "interval": 0.05, "base_ejection_time": 0.1}
    proxy = await gateway(config(bad.port, good.port, outlier_detection=rules))
    client = await raw(proxy.port)
    statuses = [(await client.ask(POST)).status for _ in range(20)]
    assert (statuses.count(500), moody.requests) == (3, 3)
    target = f"127.0.0.1:{bad.port}"
    (event,) = await events.of("target ejected")
    assert (event["upstream"], event["target"], event["reason"]) == ("api", target, "consecutive_5xx")
    text = await asked(proxy, "/metrics")
    count = (
        f'proxyd_upstream_ejections_total{{reason="consecutive_5xx",target="{target}",upstream="api"}} 1.0'
    )
    assert count in text
    moody.answer = OK
    await events.of("target readmitted")
    assert {(await client.ask(POST)).status for _ in range(4)} == {200}
    assert moody.requests > 3
    (row,) = [row for row in (await asked(proxy, "/status"))["upstreams"] if row["target"] == target]
    assert (row["ejected"], row["health"]) == (False, "HEALTHCHECKS_OFF")


async def test_an_ejected_target_shows(gateway, origin, raw):
    """In the metrics and in the status, for as long as it is out."""
    bad, good = await origin(BAD), await origin(OK)
    proxy = await gateway(config(bad.port, good.port, outlier_detection={"consecutive_5xx": 1}))
    client = await raw(proxy.port)
    for _ in range(2):
        await client.ask(POST)
    text = await asked(proxy, "/metrics")
    for port, value in ((bad.port, "1.0"), (good.port, "0.0")):
        assert f'proxyd_upstream_ejected{{target="127.0.0.1:{port}",upstream="api"}} {value}' in text
    rows = {row["target"]: row["ejected"] for row in (await asked(proxy, "/status"))["upstreams"]}
    assert rows == {f"127.0.0.1:{bad.port}": True, f"127.0.0.1:{good.port}": False}
