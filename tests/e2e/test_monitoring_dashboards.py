"""Every query of every dashboard, asked of a real Prometheus that watches gateways to which all sorts of things happen."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from e2e_gateway import config_for
from e2e_master import Gang
from e2e_tls import pem
from e2e_wire import OK, closed_port
from jwks_case import Endpoint, document
from monitoring_case import BOARDS, awaits, queries, variables
from websockets.asyncio.client import connect

FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
CROWDED = b"GET /crowded HTTP/1.1\r\nHost: x\r\n\r\n"
SEVERAL = 2  # rounds of traffic: a rate is of counts that grew between scrapes
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


def busy(pool, weak, crowded, backend, keys, log):
    """Return a configuration in which every kind of thing can happen; ports are of what stands behind it."""
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
            },
            {
                "name": "weak",
                "targets": [{"target": f"127.0.0.1:{weak}"}, {"target": f"127.0.0.1:{pool}"}],
                "resilience": {"outlier_detection": {"consecutive_5xx": 1}},
            },
            {
                "name": "broken",
                "targets": [{"target": f"127.0.0.1:{weak}"}],
                "resilience": {"circuit_breaker": {"minimum_requests": 1}},
            },
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
            service("weak", "http://weak"),
            service("broken", "http://broken"),
            service("crowded", f"http://127.0.0.1:{crowded}"),
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


class Crowded:
    """The script of a backend that has room for one request, and answers it when it may."""

    def __init__(self):
        self.arrived, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, wire):
        with contextlib.suppress(EOFError):
            while True:
                await wire.message()
                self.arrived.set()
                await self.go.wait()
                await wire.send(OK)

    async def refuses(self, first, second):
        """Send it two requests, of which the gateway refuses the second."""
        self.arrived.clear()
        self.go.clear()
        held = asyncio.ensure_future(first.ask(CROWDED))
        await self.arrived.wait()
        assert (await second.ask(CROWDED)).status == 503
        self.go.set()
        assert (await held).status == 200


async def things_happen(raw, proxy, crowded):
    """Answers, refusals, limits, failures, load that is shed, a WebSocket, a handshake that is none."""
    client = await raw(proxy.port)
    await crowded.refuses(await raw(proxy.port), client)
    for path, key in [("orders", "ann-key")] * 6 + [
        ("orders", "wrong"),
        ("dead", ""),
        ("shared", ""),
        ("weak", ""),
        ("weak", ""),
        ("broken", ""),
        ("broken", ""),
    ]:
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


@pytest.fixture
async def gang(tmp_path):
    """Give what starts a master with two workers."""
    running = []

    async def start(config):
        running.append(await Gang.start(config, tmp_path, 2))
        return running[-1]

    yield start
    for one in running:
        await one.close()


@pytest.fixture
def crowded():
    return Crowded()


@pytest.fixture
async def eventful(gateway, origin, backend, crowded, keys, tmp_path):
    """Run a gateway in which every kind of thing can happen."""
    ports = [(await origin(script)).port for script in (OK, FAILED, crowded)]
    return await gateway(
        busy(*ports, backend.port, keys.uri, tmp_path / "requests.log"),
        overload_control=True,
        min_concurrent_requests=1,
        max_concurrent_requests=1,
        proxy_listen="127.0.0.1:0, 127.0.0.1:0 ssl",
        proxy_error_log="off",
        slow_request_log="0.001ms",
        trusted_ips="127.0.0.1",
    )


async def test_every_query_of_every_dashboard_returns_data(eventful, crowded, gang, backend, raw, prometheus):
    """With all variables at "All", each panel has numbers, and series with the labels that its legend shows."""
    workers = await gang(config_for(backend.port))
    watcher = await prometheus(eventful.status_url, workers.one.status_url)
    for number in range(1, SEVERAL + 1):
        await things_happen(raw, eventful, crowded)
        await watcher.until(f'sum(proxyd_http_requests_total{{route="orders"}}) == {7 * number}')
    assert await eventful.worker.reload()
    await watcher.until("proxyd_config_generation == 2")
    eventful.write("services: 1")
    assert not await eventful.worker.reload()
    await watcher.until('ALERTS{alertname="ProxydConfigRejected"}')

    now = time.time()
    exemplars = await watcher.ask(
        "query_exemplars",
        query="proxyd_http_request_duration_seconds_bucket",
        start=str(now - 60),
        end=str(now + 60),
    )
    assert all("trace_id" in one["labels"] for series in exemplars for one in series["exemplars"])
    assert exemplars
    missing = []
    for query in (query for path in BOARDS for query in queries(path) if not awaits(query.text)):
        found = await watcher.soon(whole(query.text))
        labels = {label for each, _ in found for label in each}
        legend = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        if not found or legend - labels:
            missing.append((query, legend - labels))
    assert missing == []
    for path in BOARDS:
        for name, (label, selector) in variables(path).items():
            values = await watcher.ask(f"label/{label}/values", **{"match[]": whole(selector)})
            assert [value for value in values if value], (path.stem, name)


async def test_nothing_that_a_client_says_becomes_a_label(eventful, crowded, raw):
    """Paths, hosts, methods, keys, addresses and headers are in no series, whatever answers the request."""
    await things_happen(raw, eventful, crowded)
    client = await raw(eventful.port)
    for path in ("orders", "dead", "weak", "nowhere"):
        await client.ask(
            b"MARKER /%b/marker?marker=marker HTTP/1.1\r\nHost: marker.example\r\napikey: marker\r\n"
            b"X-Real-IP: 198.51.100.77\r\nUser-Agent: marker\r\nContent-Length: 0\r\n\r\n" % path.encode()
        )
    async with httpx.AsyncClient() as reader:
        text = (await reader.get(f"{eventful.status_url}/metrics")).text
    assert 'method="_OTHER"' in text
    assert 'consumer="ann"' in text
    assert re.findall(r".*(?i:marker|ann-key|198\.51\.100\.77).*", text) == []
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    ours = "".join(
        line for line in text.splitlines(keepends=True) if not re.search(r"\b(kong|python_gc)_", line)
    )
    check = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, remarks = await check.communicate(ours.encode())
    assert (check.returncode, remarks) == (0, b"")
