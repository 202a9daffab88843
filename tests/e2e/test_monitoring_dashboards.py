"""Every query of every dashboard, asked of a real Prometheus that watches gateways to which all sorts of things happen."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
import trustme
from e2e_tls import pem
from e2e_wire import OK, closed_port
from jwks_case import Endpoint, document
from monitoring_case import BOARDS, awaits, queries, variables
from websockets.asyncio.client import connect

SEVERAL = 2  # rounds of traffic: a rate is of counts that grew between scrapes
OPTIONAL = {"worker"}  # labels that only gateways with several workers have
ALL = {
    "$instance": ".*",
    "$route": ".*",
    "$upstream": ".*",
    "$consumer": ".*",
    "$__rate_interval": "1m",
    "$__range": "1m",
}


def whole(text):
    """Put in what Grafana would for "All" and a time range of a minute."""
    return re.sub(r"\$\w+", lambda match: ALL[match[0]], text)


def busy(pool, backend, keys, log):
    """Return a configuration in which every kind of thing can happen."""
    nobody = closed_port()

    def service(name, url, *plugins, **more):
        route = {"name": name, "paths": [f"/{name}"], "plugins": list(plugins), "strip_path": False}
        return {"name": name, "url": url, "routes": [route], **more}

    return {
        "_format_version": "3.0",
        "upstreams": [
            {
                "name": "pool",
                "targets": [{"target": f"127.0.0.1:{pool}"}, {"target": f"127.0.0.1:{nobody}"}],
                "healthchecks": {"passive": {"unhealthy": {"tcp_failures": 3}}},
            }
        ],
        "certificates": [pem(trustme.CA(), "shop.example")],
        "consumers": [{"username": "ann", "keyauth_credentials": [{"key": "ann-key"}]}],
        "services": [
            service(
                "orders",
                "http://pool",
                {"name": "key-auth"},
                {"name": "rate-limiting", "config": {"year": 8, "limit_by": "consumer"}},
            ),
            service("ws", f"http://127.0.0.1:{backend}"),
            service("dead", f"http://127.0.0.1:{nobody}", retries=1),
            service(
                "shared",
                "http://pool",
                {
                    "name": "rate-limiting",
                    "config": {
                        "year": 1000,
                        "policy": "redis",
                        "redis": {"host": "127.0.0.1", "port": nobody},
                    },
                },
            ),
            service(
                "token",
                "http://pool",
                {"name": "jwt", "config": {"issuers": [{"issuer": "https://id.example", "jwks_uri": keys}]}},
            ),
        ],
        "plugins": [
            {
                "name": "prometheus",
                "config": {
                    "per_consumer": True,
                    "status_code_metrics": True,
                    "latency_metrics": True,
                    "bandwidth_metrics": True,
                    "upstream_health_metrics": True,
                },
            },
            {"name": "file-log", "config": {"path": str(log)}},
            {
                "name": "zipkin",
                "config": {"http_endpoint": f"http://127.0.0.1:{nobody}/spans", "sample_ratio": 1},
            },
        ],
    }


async def things_happen(raw, proxy):
    """Answers, refusals, limits, failures, a WebSocket, a client that leaves, a handshake that is none."""
    client = await raw(proxy.port)
    for path, key in [("orders", "ann-key")] * 6 + [("orders", "wrong"), ("dead", ""), ("shared", "")]:
        await client.ask(b"GET /%b HTTP/1.1\r\nHost: x\r\napikey: %b\r\n\r\n" % (path.encode(), key.encode()))
    await client.ask(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    await client.ask(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    async with connect(f"ws://127.0.0.1:{proxy.port}/ws") as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
    plain = await raw(urlsplit(proxy.worker.addresses[1]).port)
    await plain.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await plain.rest()


@pytest.fixture
async def keys():
    """Publish a token issuer's key."""
    endpoint = await Endpoint(document(1)).start()
    yield endpoint
    await endpoint.stop()


async def test_every_query_of_every_dashboard_returns_data(
    gateway, origin, backend, raw, keys, prometheus, tmp_path
):
    """With all variables at "All", each panel has numbers, and series with the labels that its legend shows."""
    upstream = await origin(OK)
    config = busy(upstream.port, backend.port, keys.uri, tmp_path / "requests.log")
    proxy = await gateway(
        config,
        proxy_listen="127.0.0.1:0, 127.0.0.1:0 ssl",
        slow_request_log="0.001ms",
    )
    watcher = await prometheus(proxy.status_url)
    for number in range(1, SEVERAL + 1):
        await things_happen(raw, proxy)
        await watcher.until(f'sum(proxyd_http_requests_total{{route="orders"}}) == {7 * number}')
    assert await proxy.worker.reload()
    await watcher.until("proxyd_config_generation == 2")
    proxy.write("services: 1")
    assert not await proxy.worker.reload()
    await watcher.until('ALERTS{alertname="ProxydConfigRejected"}')

    missing = []
    for query in (query for path in BOARDS for query in queries(path) if not awaits(query.text)):
        found = await watcher.soon(whole(query.text))
        labels = {label for each, _ in found for label in each}
        legend = set(re.findall(r"\{\{(\w+)\}\}", query.legend)) - OPTIONAL
        if not found or legend - labels:
            missing.append((query, legend - labels))
    assert missing == []
    for path in BOARDS:
        for name, (label, selector) in variables(path).items():
            values = await watcher.ask(f"label/{label}/values", **{"match[]": whole(selector)})
            assert [value for value in values if value], (path.stem, name)
