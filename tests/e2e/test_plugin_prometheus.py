"""prometheus through a running gateway: what was sent is what /metrics tells, under Kong's names."""

from __future__ import annotations

import re

import aiohttp
from e2e_gateway import config_for
from e2e_wire import OK, closed_port

ALL = {
    "status_code_metrics": True,
    "latency_metrics": True,
    "bandwidth_metrics": True,
    "upstream_health_metrics": True,
}
KEYED = {
    "consumers": [{"username": "ann", "keyauth_credentials": [{"key": "ann-key"}]}],
    "plugins": [{"name": "key-auth"}, {"name": "prometheus", "config": {**ALL, "per_consumer": True}}],
}
MAIN = {"service": "backend", "route": "main", "workspace": "default"}


def get(path=b"/", *lines):
    return b"GET %b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (path, b"".join(line + b"\r\n" for line in lines))


async def scrape(proxy):
    """Return each sample's value by its name and labels, as the lines have them."""
    async with aiohttp.ClientSession() as session, session.get(proxy.status_url + "/metrics") as answer:
        text = await answer.text()
    found = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"(kong_\w+)(?:\{(.*)\})? (\S+)", line):
            labels = frozenset(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            found[match[1], labels] = float(match[3])
    return lambda name, **labels: found.get((name, frozenset(labels.items())))


async def test_requests_and_bytes_are_what_went_over_the_wire(gateway, origin, raw):
    """Codes by consumer and by who answered; bytes both ways, heads and bodies, to the byte."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port, **KEYED))
    client = await raw(proxy.port)
    asked = get(b"/", b"apikey: ann-key")
    for _ in range(3):
        assert (await client.ask(asked)).status == 200
    answers = len(client.received)
    refused = get(b"/")
    assert (await client.ask(refused)).status == 401
    await proxy.log_lines(4)
    value = await scrape(proxy)
    counted = {"consumer": "ann", **MAIN}
    assert value("kong_http_requests_total", code="200", source="service", **counted) == 3
    assert value("kong_http_requests_total", code="401", source="kong", consumer="", **MAIN) == 1
    assert value("kong_bandwidth_bytes", direction="ingress", **counted) == 3 * len(asked)
    assert value("kong_bandwidth_bytes", direction="egress", **counted) == answers
    assert value("kong_bandwidth_bytes", direction="ingress", consumer="", **MAIN) == len(refused)
    assert value("kong_bandwidth_bytes", direction="egress", consumer="", **MAIN) == (
        len(client.received) - answers
    )
    for name in ("kong_kong_latency_ms", "kong_request_latency_ms"):
        assert value(f"{name}_count", **MAIN) == value(f"{name}_bucket", le="+Inf", **MAIN) == 4
    assert value("kong_upstream_latency_ms_count", **MAIN) == 3


async def test_only_the_route_that_asks_is_measured(gateway, origin, raw):
    """An instance on one route leaves the other alone."""
    upstream = await origin(OK)
    config = config_for(upstream.port, route={"plugins": [{"name": "prometheus", "config": ALL}]})
    config["services"][0]["routes"].append({"name": "quiet", "paths": ["/quiet"]})
    proxy = await gateway(config)
    client = await raw(proxy.port)
    await client.ask(get(b"/"))
    await client.ask(get(b"/quiet"))
    value = await scrape(proxy)
    labels = {
        "code": "200",
        "source": "service",
        "consumer": "",
        "workspace": "default",
        "service": "backend",
    }
    assert value("kong_http_requests_total", route="main", **labels) == 1
    assert value("kong_http_requests_total", route="quiet", **labels) is None
    assert value("kong_request_latency_ms_count", **MAIN | {"route": "quiet"}) is None


async def test_counters_survive_a_reload(gateway, origin, raw):
    """What was counted before a reload is counted on behind it; without the plugin nothing of Kong's is told."""
    upstream = await origin(OK)
    config = config_for(upstream.port, plugins=[{"name": "prometheus", "config": ALL}])
    proxy = await gateway(config)
    client = await raw(proxy.port)
    await client.ask(get())
    config["services"][0]["routes"].append({"name": "new", "paths": ["/new"]})
    proxy.write(config)
    assert await proxy.worker.reload()
    await client.ask(get())
    value = await scrape(proxy)
    assert value("kong_http_requests_total", code="200", source="service", consumer="", **MAIN) == 2
    assert value("kong_datastore_reachable") == 1
    proxy.write(config_for(upstream.port))
    assert await proxy.worker.reload()
    client.close()
    value = await scrape(proxy)
    assert value("kong_datastore_reachable") is None


async def test_the_health_of_targets_is_told(gateway, origin):
    """Each target of an upstream is in one of four states."""
    upstream = await origin(OK)
    target = f"127.0.0.1:{upstream.port}"
    config = config_for(
        "http://pool",
        upstreams=[
            {"name": "pool", "targets": [{"target": target}, {"target": f"127.0.0.1:{closed_port()}"}]}
        ],
        plugins=[{"name": "prometheus", "config": ALL}],
    )
    proxy = await gateway(config)
    value = await scrape(proxy)
    labels = {"upstream": "pool", "target": target, "address": target, "subsystem": "http"}
    states = ("healthchecks_off", "healthy", "unhealthy", "dns_error")
    assert [value("kong_upstream_target_health", state=state, **labels) for state in states] == [1, 0, 0, 0]
