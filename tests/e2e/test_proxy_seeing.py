"""What is seen of traffic afterwards and meanwhile: metrics, access lines, status."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil

import aiohttp
import pytest
from e2e_gateway import config_for
from e2e_wire import OK, closed_port
from prometheus_client.parser import text_string_to_metric_families

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
FIELDS = {
    *(
        "time",
        "request_id",
        "trace_id",
        "client_ip",
        "scheme",
        "tls_version",
        "method",
        "host",
        "path",
        "query",
    ),
    *("protocol", "status", "bytes_received", "bytes_sent", "route", "service", "consumer", "upstream"),
    *(
        "upstream_status",
        "tries",
        "total_ms",
        "gateway_ms",
        "upstream_ms",
        "connect_ms",
        "user_agent",
        "referer",
    ),
    *("upgraded", "aborted", "error", "error_source", "error_cause", "graphql"),
}


async def fetch(proxy, path):
    async with aiohttp.ClientSession() as session, session.get(proxy.status_url + path) as answer:
        return answer.status, await answer.text()


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text):
        self.text = text
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name, **labels):
        return self._samples.get((name, frozenset(labels.items())))

    @classmethod
    async def of(cls, proxy):
        status, text = await fetch(proxy, "/metrics")
        assert status == 200
        return cls(text)


async def traffic(gateway, origin, raw):
    """Send two GETs, one upload, a request that matches nothing, a failure and a client that leaves."""
    hanging = asyncio.Event()

    async def script(wire):
        with contextlib.suppress(EOFError):
            while True:
                request = await wire.message()
                if "/hang" in request.start:
                    hanging.set()
                else:
                    await wire.send(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello")

    upstream = await origin(script)
    config = config_for(upstream.port, route={"paths": ["/a"]})
    dead = {"name": "dead", "url": f"http://127.0.0.1:{closed_port()}", "retries": 1}
    config["services"].append({**dead, "routes": [{"name": "dead-route", "paths": ["/dead"]}]})
    proxy = await gateway(config)
    client = await raw(proxy.port)
    for target in (b"GET /a", b"GET /a?key=value", b"GET /nowhere", b"GET /dead"):
        await client.ask(target + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: test\r\n\r\n")
    await client.ask(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n1234567")
    leaving = await raw(proxy.port)
    await leaving.send(b"GET /a/hang HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(hanging.wait(), 5)
    leaving.reset()
    return proxy, await proxy.log_lines(6), upstream


# --- metrics -----------------------------------------------------------------------------------------------------


async def test_metrics_tell_of_the_traffic(gateway, origin, raw):
    """Requests by route, service, method and status, histograms, bytes, failures, retries and connections."""
    proxy, _, upstream = await traffic(gateway, origin, raw)
    metrics = await Metrics.of(proxy)
    main = {"route": "main", "service": "backend"}
    dead = {"route": "dead-route", "service": "dead"}
    assert metrics("proxyd_http_requests_total", **main, method="GET", code="201") == 2
    assert metrics("proxyd_http_requests_total", **main, method="POST", code="201") == 1
    assert metrics("proxyd_http_requests_total", **main, method="GET", code="499") == 1
    assert metrics("proxyd_http_requests_total", **dead, method="GET", code="502") == 1
    assert metrics("proxyd_http_requests_total", route="", service="", method="GET", code="404") == 1
    assert metrics("proxyd_http_body_bytes_total", **main, direction="received") == 7
    assert metrics("proxyd_http_body_bytes_total", **main, direction="sent") == 15
    assert metrics("proxyd_http_requests_aborted_total", **main) == 1
    assert metrics("proxyd_upstream_failures_total", **dead, kind="connect_refused", source="upstream") == 1
    assert metrics("proxyd_retries_total", **dead, outcome="failure") == 1
    for name in ("proxyd_http_request_duration_seconds", "proxyd_overhead_seconds"):
        assert metrics(f"{name}_count", **main) == metrics(f"{name}_bucket", **main, le="+Inf") == 4
    for edge in ("0.00025", "0.02", "0.04", "60"):
        assert metrics("proxyd_overhead_seconds_bucket", **main, le=edge) is not None, edge
    assert metrics("proxyd_upstream_duration_seconds_count", **main) == 4
    assert metrics("proxyd_connections_total") == 2
    assert metrics("proxyd_open_connections", state="idle") == 1
    assert metrics("proxyd_http_requests_in_flight") == 0
    labels = {"upstream": "", "target": f"127.0.0.1:{upstream.port}", "address": "127.0.0.1"}
    assert metrics("proxyd_upstream_open_connections", **labels) is not None, metrics.text
    assert metrics("proxyd_config_generation") == 1


async def test_metrics_tell_of_the_budget(gateway, origin, raw):
    """Both edges are told, and requests beyond an edge of practically nothing are counted."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, latency_budget="0.000001, 10s")
    client = await raw(proxy.port)
    for _ in range(3):
        await client.ask(GET)
    metrics = await Metrics.of(proxy)
    assert metrics("proxyd_latency_budget_seconds", edge="lower") == 0.000001
    assert metrics("proxyd_latency_budget_seconds", edge="upper") == 10
    assert metrics("proxyd_latency_budget_exceeded_total", edge="lower") == 3
    assert metrics("proxyd_latency_budget_exceeded_total", edge="upper") == 0


async def test_the_upstreams_time_is_not_the_gateways(gateway, origin, raw):
    """A slow origin is in the upstream's part and the whole, and not in the gateway's own part."""

    async def script(wire):
        await wire.message()
        await asyncio.sleep(0.2)
        await wire.send(OK)
        await wire.rest()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    await (await raw(proxy.port)).ask(GET)
    (line,) = await proxy.log_lines()
    assert line["upstream_ms"] >= 190
    assert line["total_ms"] >= line["upstream_ms"]
    assert line["gateway_ms"] < 190
    metrics = await Metrics.of(proxy)
    labels = {"route": "main", "service": "backend"}
    assert metrics("proxyd_upstream_duration_seconds_bucket", **labels, le="0.1") == 0
    assert metrics("proxyd_overhead_seconds_bucket", **labels, le="0.25") == 1


async def test_a_request_under_way_is_seen(gateway, origin, raw):
    """While an answer is waited for, it is in flight and its connection is answering."""
    go = asyncio.Event()

    async def script(wire):
        await wire.message()
        await go.wait()
        await wire.send(OK)
        await wire.rest()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client, idle = await raw(proxy.port), await raw(proxy.port)
    await client.send(GET)
    await upstream.wire()
    metrics = await Metrics.of(proxy)
    assert metrics("proxyd_http_requests_in_flight") == 1
    assert metrics("proxyd_open_connections", state="answering") == 1
    assert metrics("proxyd_open_connections", state="idle") == 1
    labels = {"upstream": "", "target": f"127.0.0.1:{upstream.port}", "address": "127.0.0.1"}
    assert metrics("proxyd_upstream_requests_in_flight", **labels) == 1
    go.set()
    assert (await client.message()).status == 200
    assert idle.received == b""


async def test_promtool_finds_nothing_wrong(gateway, origin, raw):
    """The live page passes ``promtool check metrics``."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    proxy, _, _ = await traffic(gateway, origin, raw)
    _, text = await fetch(proxy, "/metrics")
    process = await asyncio.create_subprocess_exec(
        promtool,
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(text.encode())
    assert (process.returncode, output.decode()) == (0, "")


# --- access lines ------------------------------------------------------------------------------------------------


async def test_every_exchange_has_one_line(gateway, origin, raw):
    """Answered, refused, failed and left alone: one line each, with every field."""
    _, lines, _ = await traffic(gateway, origin, raw)
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", "/a", 201),
        ("GET", "/a", 201),
        ("GET", "/nowhere", 404),
        ("GET", "/dead", 502),
        ("POST", "/a", 201),
        ("GET", "/a/hang", 499),
    ]
    assert all(set(line) == FIELDS for line in lines)
    assert len({line["request_id"] for line in lines}) == 6
    assert [line["aborted"] for line in lines] == [False] * 5 + [True]


async def test_a_line_tells_what_happened(gateway, origin, raw):
    """Who asked, what for, where it went, how much and for how long."""
    _, lines, upstream = await traffic(gateway, origin, raw)
    first, second, lost, failed, upload, left = lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    told = {
        name: first[name]
        for name in ("client_ip", "scheme", "host", "protocol", "route", "service", "user_agent")
    }
    assert told == {
        "client_ip": "127.0.0.1",
        "scheme": "http",
        "host": "x",
        "protocol": "HTTP/1.1",
        "route": "main",
        "service": "backend",
        "user_agent": "test",
    }
    assert first["upstream"] == f"127.0.0.1:{upstream.port}"
    assert (first["upstream_status"], first["tries"], first["bytes_sent"]) == (201, 1, 5)
    assert first["connect_ms"] is not None
    assert second["connect_ms"] is None  # over the same connection
    assert second["query"] is not None
    assert (lost["route"], lost["upstream"], lost["tries"]) == (None, None, 0)
    assert (failed["error"], failed["error_source"], failed["tries"]) == ("connect_refused", "upstream", 2)
    assert upload["bytes_received"] == 7
    assert (left["upstream_status"], left["bytes_sent"]) == (None, 0)


# --- status ------------------------------------------------------------------------------------------------------


async def test_status_tells_of_connections_and_upstreams(gateway, origin, raw):
    """/status has Kong's shape, and the targets beside it."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    for _ in range(3):
        await client.ask(GET)
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.status_url}/status") as answer:
        status = await answer.json()
    server = status["server"]
    assert (server["total_requests"], server["connections_accepted"], server["connections_active"]) == (
        3,
        1,
        1,
    )
    assert (server["connections_waiting"], server["connections_writing"]) == (1, 0)
    (target,) = status["upstreams"]
    assert (target["target"], target["connections"]) == (f"127.0.0.1:{upstream.port}", 1)
    assert status["generation"] == 1


async def test_ready_says_no_while_the_gateway_ends(gateway, origin, raw):
    """/status/ready is 200 in service and 503 while running requests are waited for, whose answer says close."""
    go = asyncio.Event()

    async def script(wire):
        await wire.message()
        await go.wait()
        await wire.send(OK)
        await wire.rest()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    assert await fetch(proxy, "/status/ready") == (200, '{"message":"ready"}')
    client, idle = await raw(proxy.port), await raw(proxy.port)
    await client.send(GET)
    await upstream.wire()
    stopping = asyncio.ensure_future(proxy.worker.stop(drain=5.0))
    assert await idle.rest() == b""
    status, text = await fetch(proxy, "/status/ready")
    assert status == 503
    assert "draining" in text
    with pytest.raises(OSError, match="onnect"):
        await raw(proxy.port)
    go.set()
    answer = await client.message()
    assert (answer.status, answer["connection"]) == (200, "close")
    await stopping
    assert await client.rest() == b""
