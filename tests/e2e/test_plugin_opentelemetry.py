"""opentelemetry through a running gateway, to a collector that reads OTLP."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from e2e_collector import Collector, decode_otlp, values
from e2e_gateway import config_for
from e2e_wire import OK, closed_port

from proxyd import __version__

pytest.importorskip("opentelemetry.exporter.otlp.proto.common", reason="the extra otel is not installed")

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
GET = b"GET /a?x=1 HTTP/1.1\r\nHost: api.test\r\nUser-Agent: test\r\n%b\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
QUICK = {"max_coalescing_delay": 0.01}


@pytest.fixture
async def collector():
    one = await Collector(decode_otlp).start()
    yield one
    await one.stop()


def config(upstream, port, *more, **settings):
    plugin = {
        "name": "opentelemetry",
        "config": {
            "traces_endpoint": f"http://127.0.0.1:{port}/v1/traces",
            "sampling_rate": 1,
            "queue": QUICK,
            **settings,
        },
    }
    return config_for(upstream, plugins=[plugin, *more])


async def metric(proxy, result):
    async with aiohttp.ClientSession() as session, session.get(proxy.status_url + "/metrics") as answer:
        text = await answer.text()
    line = f'proxyd_spans_total{{plugin="opentelemetry",result="{result}"}} '
    return float(text.partition(line)[2].partition("\n")[0])


async def test_a_trace_is_one_from_the_client_to_the_upstream(gateway, origin, raw, collector):
    """Client, gateway and upstream are told apart by spans that are each other's parents, and the log has the id."""
    upstream = await origin(OK)
    proxy = await gateway(
        config(
            upstream.port,
            collector.port,
            headers={"Api-Key": "k"},
            resource_attributes={"service.name": "edge", "deployment.environment": "test"},
            http_response_header_for_traceid="X-Trace-Id",
        )
    )
    client = await raw(proxy.port)
    answer = await client.ask(GET % b"traceparent: 00-%b-%b-01\r\n" % (TRACE.encode(), SPAN.encode()))
    (server, resource, scope), (below, _, _) = await collector.taken(2)
    assert server.trace_id.hex() == below.trace_id.hex() == TRACE
    assert server.parent_span_id.hex() == SPAN
    assert below.parent_span_id == server.span_id
    request = await upstream.request()
    assert request["traceparent"] == f"00-{TRACE}-{below.span_id.hex()}-01"
    assert answer["x-trace-id"] == TRACE
    (line,) = await proxy.log_lines()
    assert line["trace_id"] == TRACE

    assert (server.name, server.kind, below.name, below.kind) == ("kong", 2, "kong.balancer", 3)
    assert server.start_time_unix_nano <= below.start_time_unix_nano
    assert below.end_time_unix_nano <= server.end_time_unix_nano
    assert [event.name for event in below.events] == ["connected", "answer began"]
    told = values(server.attributes)
    assert told["http.response.status_code"] == 200
    assert (told["url.path"], told["url.query"], told["kong.route"]) == ("/a", "x=1", "main")
    assert told["kong.request.id"] == line["request_id"]
    assert values(below.attributes)["server.port"] == upstream.port
    assert (resource["service.name"], resource["deployment.environment"]) == ("edge", "test")
    assert resource["service.version"] == __version__
    assert (scope.scope.name, scope.schema_url) == ("proxyd", "https://opentelemetry.io/schemas/1.23.0")
    (posted,) = collector.requests
    assert (posted.path, posted.headers["Api-Key"]) == ("/v1/traces", "k")
    assert posted.headers["Content-Type"] == "application/x-protobuf"
    assert await metric(proxy, "sent") == 2


async def test_a_trace_that_is_not_recorded_is_passed_on(gateway, origin, raw, collector):
    """The upstream and the log know the trace, the collector is never asked."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, collector.port, sampling_rate=0))
    client = await raw(proxy.port)
    await client.ask(GET % b"")
    request = await upstream.request()
    (line,) = await proxy.log_lines()
    version, trace, _, flags = request["traceparent"].split("-")
    assert (version, trace, flags) == ("00", line["trace_id"], "00")
    await proxy.worker.stop()
    assert collector.asked == 0


async def test_a_refused_request_is_a_span_of_its_own(gateway, origin, raw, collector):
    """An answer of another plugin's has no upstream's part; where there was no context, a trace begins."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, collector.port, {"name": "key-auth"}))
    client = await raw(proxy.port)
    assert (await client.ask(GET % b"")).status == 401
    ((server, _, _),) = await collector.taken(1)
    assert values(server.attributes)["http.response.status_code"] == 401
    assert server.parent_span_id == b""
    (line,) = await proxy.log_lines()
    assert line["trace_id"] == server.trace_id.hex()


async def test_a_failure_is_an_error(gateway, raw, collector):
    """Nobody listens: both spans say so, and how often it was tried."""
    proxy = await gateway(config(closed_port(), collector.port))
    client = await raw(proxy.port)
    assert (await client.ask(GET % b"")).status == 502
    (server, _, _), (below, _, _) = await collector.taken(2)
    assert (server.status.code, below.status.code) == (2, 2)
    assert values(below.attributes)["error.type"] == "connect_refused"
    assert values(below.attributes)["http.request.resend_count"] == 5


async def test_a_collector_that_is_away_slows_nobody(gateway, origin, raw):
    """Requests are answered, spans are counted as failed when the gateway ends, and it ends."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, closed_port()))
    client = await raw(proxy.port)
    for _ in range(20):
        assert (await client.ask(GET % b"")).status == 200
    async with asyncio.timeout(8):
        await proxy.worker.stop(drain=0.0)
    counts = proxy.worker.telemetry.deliveries.of("opentelemetry")
    assert (counts.sent, counts.dropped) == (0, 0)
    assert counts.failed == 40


async def test_a_collector_that_hangs_slows_nobody(gateway, origin, raw, collector):
    """What waits for it is bounded, and what finds no place is dropped and counted."""
    collector.go.clear()
    upstream = await origin(OK)
    proxy = await gateway(
        config(upstream.port, collector.port, queue={**QUICK, "max_entries": 6, "max_batch_size": 2})
    )
    client = await raw(proxy.port)
    assert (await client.ask(GET % b"")).status == 200
    await collector.attempts(1)
    for _ in range(9):
        assert (await client.ask(GET % b"")).status == 200
    await proxy.log_lines(10)
    assert await metric(proxy, "dropped") == 12
    collector.go.set()
    await collector.taken(8)


async def test_a_stop_delivers_what_waits(gateway, origin, raw, collector):
    """An hour's delay ends with the gateway."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, collector.port, queue={"max_coalescing_delay": 3600}))
    client = await raw(proxy.port)
    await client.ask(GET % b"")
    await proxy.log_lines()
    assert collector.asked == 0
    await proxy.worker.stop(drain=0.0)
    assert len(collector.spans) == 2


async def test_a_websocket_that_outlives_a_reload_is_recorded(gateway, origin, raw, collector):
    """Its span ends with it, long after its generation, and finds its way."""

    async def script(wire):
        await wire.message()
        await wire.send(SWITCHED)
        await wire.rest()
        wire.close()

    upstream = await origin(script)
    proxy = await gateway(config(upstream.port, collector.port))
    client = await raw(proxy.port)
    await client.send(UPGRADE)
    assert (await client.message()).status == 101
    changed = config(upstream.port, collector.port)
    changed["services"][0]["routes"].append({"name": "new", "paths": ["/new"]})
    proxy.write(changed)
    assert await proxy.worker.reload()
    client.close()
    (server, _, _), (below, _, _) = await collector.taken(2)
    assert values(server.attributes)["http.response.status_code"] == 101
    assert below.parent_span_id == server.span_id
