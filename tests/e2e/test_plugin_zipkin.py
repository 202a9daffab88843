"""zipkin through a running gateway, to a collector that reads Zipkin's JSON."""

from __future__ import annotations

import json

import pytest
from e2e_collector import Collector
from e2e_gateway import config_for
from e2e_wire import OK

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.fixture
async def collector():
    one = await Collector(json.loads).start()
    yield one
    await one.stop()


def config(upstream, port, *more, **settings):
    plugin = {
        "name": "zipkin",
        "config": {
            "http_endpoint": f"http://127.0.0.1:{port}/api/v2/spans",
            "sample_ratio": 1,
            "queue": {"max_coalescing_delay": 0.01},
            **settings,
        },
    }
    return config_for(upstream, plugins=[plugin, *more])


async def test_a_trace_is_one_from_the_client_to_the_upstream(gateway, origin, raw, collector):
    """The client's span, the gateway's two and what the upstream is told hang together; the log has the id."""
    upstream = await origin(OK)
    proxy = await gateway(
        config(
            upstream.port,
            collector.port,
            http_response_header_for_traceid="X-Trace",
            local_service_name="edge",
        )
    )
    client = await raw(proxy.port)
    sent = b"X-B3-TraceId: %b\r\nX-B3-SpanId: %b\r\nX-B3-Sampled: 1\r\n" % (TRACE.encode(), SPAN.encode())
    answer = await client.ask(b"GET /a HTTP/1.1\r\nHost: x\r\nZipkin-Tags: colour=red\r\n%b\r\n" % sent)
    request, proxied = await collector.taken(2)
    assert request["traceId"] == proxied["traceId"] == TRACE == answer["x-trace"]
    assert (request["parentId"], proxied["parentId"]) == (SPAN, request["id"])
    seen = await upstream.request()
    assert (seen["x-b3-traceid"], seen["x-b3-spanid"], seen["x-b3-parentspanid"], seen["x-b3-sampled"]) == (
        TRACE,
        proxied["id"],
        request["id"],
        "1",
    )
    (line,) = await proxy.log_lines()
    assert line["trace_id"] == TRACE
    assert (request["kind"], request["name"], request["tags"]["colour"]) == ("SERVER", "GET", "red")
    assert (proxied["kind"], proxied["name"]) == ("CLIENT", "GET (proxy)")
    assert proxied["remoteEndpoint"] == {"serviceName": "backend", "ipv4": "127.0.0.1", "port": upstream.port}
    assert request["localEndpoint"] == {"serviceName": "edge"}
    assert [one["value"] for one in proxied["annotations"]] == ["kas", "kaf", "khs", "kbf"]
    (posted,) = collector.requests
    assert (posted.path, posted.headers["Content-Type"]) == ("/api/v2/spans", "application/json")


async def test_a_refused_request_is_a_span_of_its_own(gateway, origin, raw, collector):
    """Zipkin's turn is before authentication: the trace is there, and has no proxied part."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, collector.port, {"name": "key-auth"}))
    client = await raw(proxy.port)
    assert (await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status == 401
    (request,) = await collector.taken(1)
    assert request["tags"]["http.status_code"] == "401"
    (line,) = await proxy.log_lines()
    assert line["trace_id"] == request["traceId"]


async def test_both_tracing_plugins_are_one_trace(gateway, origin, raw, collector):
    """Opentelemetry comes later and takes what zipkin has written for its parent."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.common", reason="the extra otel is not installed")
    upstream = await origin(OK)
    other = {
        "name": "opentelemetry",
        "config": {"traces_endpoint": f"http://127.0.0.1:{collector.port}/v1/traces", "sampling_rate": 0},
    }
    proxy = await gateway(config(upstream.port, collector.port, other, default_header_type="w3c"))
    client = await raw(proxy.port)
    await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    _, proxied = await collector.taken(2)
    seen = await upstream.request()
    # The rate of opentelemetry is 0: it records nothing, and says no for those who come after it.
    assert seen.all("traceparent") == [f"00-{proxied['traceId']}-{proxied['id']}-00"]
