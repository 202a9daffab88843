"""A real Prometheus with the shipped configuration, rules and dashboards in front of a running gateway."""

from __future__ import annotations

import asyncio

from e2e_wire import OK

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UP = {"__name__": "up", "job": "proxyd"}


async def alert(watcher, name, *, fires):
    """Return an alert when it fires; or wait until it does not any more."""
    async with asyncio.timeout(15):
        while True:
            found = await watcher.alerts()
            if (name in found) is fires:
                return found.get(name)
            await asyncio.sleep(0.1)


async def test_a_refused_configuration_raises_an_alert_until_a_good_one_is_loaded(
    gateway, origin, raw, prometheus
):
    """Prometheus sees the gateway up and requests counted, and ProxydConfigRejected fires and ends."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    await (await raw(proxy.port)).ask(GET)
    watcher = await prometheus(proxy.status_url)
    address = proxy.status_url.partition("//")[2]
    assert await watcher.until('up{job="proxyd"} == 1') == [({**UP, "instance": address}, 1.0)]
    (counted,) = await watcher.until('proxyd_http_requests_total{code="200"}')
    assert (counted[0]["route"], counted[0]["instance"], counted[1]) == ("main", address, 1.0)
    assert await watcher.until("proxyd:slo_error_budget:ratio == 0.001")
    assert await watcher.alerts() == {}

    good = proxy.file.read_text()
    proxy.write("services: 1")
    assert not await proxy.worker.reload()
    fired = await alert(watcher, "ProxydConfigRejected", fires=True)
    assert fired["labels"] == {
        "alertname": "ProxydConfigRejected",
        "instance": address,
        "job": "proxyd",
        "severity": "ticket",
    }
    assert fired["annotations"]["summary"] == f"{address} refused its configuration"

    proxy.write(good)
    assert await proxy.worker.reload()
    await alert(watcher, "ProxydConfigRejected", fires=False)
    assert await watcher.alerts() == {}
