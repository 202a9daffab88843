"""Where the time of a request went, as clients, the log and Prometheus are told by a running gateway."""

from __future__ import annotations

import re

import aiohttp
import pytest
from e2e_gateway import config_for
from e2e_wire import OK
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

GET = b"GET /a?token=hush HTTP/1.1\r\nHost: api.test\r\n%b\r\n"
POLICIES = [{"name": "cors"}, {"name": "correlation-id", "config": {"echo_downstream": True}}]
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
TRACE = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"


async def metrics(proxy, **headers):
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{proxy.status_url}/metrics", **headers) as answer,
    ):
        return await answer.text()


async def test_server_timing_stands_beside_the_backends(gateway, origin, raw):
    """Both lines reach the client; the gateway's has its parts in milliseconds."""
    upstream = await origin(OK.replace(b"\r\n\r\n", b"\r\nServer-Timing: db;dur=53\r\n\r\n"))
    proxy = await gateway(config_for(upstream.port, plugins=POLICIES), server_timing="on")
    client = await raw(proxy.port)
    answer = await client.ask(GET % b"Origin: https://a.test\r\n")
    theirs, ours = answer.all("server-timing")
    assert theirs == "db;dur=53"
    number = r"\d+\.\d\d"
    first = rf"gateway;dur={number}, plugins;dur={number}, connect;dur={number}, upstream;dur={number}"
    assert re.fullmatch(first, ours)
    pooled = await client.ask(GET % b"")
    assert "connect" not in pooled.all("server-timing")[1]


@pytest.mark.parametrize(("setting", "told"), [("off", False), ("trusted", True)])
async def test_who_is_told_is_a_setting(gateway, raw, setting, told):
    """Nobody by default; with trusted_ips, clients in them, and not those that a trusted proxy brings."""
    proxy = await gateway(
        config_for(1, plugins=[{"name": "request-termination"}]),
        server_timing=setting,
        trusted_ips="127.0.0.0/8",
    )
    client = await raw(proxy.port)
    assert ("server-timing" in (await client.ask(GET % b"")).names) is told
    assert "server-timing" not in (await client.ask(GET % b"X-Real-IP: 203.0.113.7\r\n")).names


async def test_a_slow_request_is_one_event_and_one_count(gateway, origin, raw, events):
    """With a threshold that everything is beyond, the event names the plugins, and no secret."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port, plugins=POLICIES), slow_request_log="0.0001ms")
    client = await raw(proxy.port)
    answer = await client.ask(GET % b"Origin: https://a.test\r\n")
    (event,) = await events.of("slow request")
    assert event["request_id"] == answer["x-kong-request-id"]
    assert (event["route"], event["status"], event["query"]) == ("main", 200, "token=REDACTED")
    assert {(one["plugin"], one["phase"]) for one in event["plugins"]} == {
        ("cors", "access"),
        ("cors", "header_filter"),
        ("correlation-id", "access"),
        ("correlation-id", "header_filter"),
    }
    assert "hush" not in str(event)
    assert 'proxyd_slow_requests_total{route="main"} 1.0' in await metrics(proxy)


async def test_nothing_is_slow_where_nobody_asks(gateway, raw, events):
    """The log is off by default, and plugins are not timed."""
    proxy = await gateway(
        config_for(1, plugins=[{"name": "request-termination"}]), latency_budget="0.0001ms,0.0001ms"
    )
    await (await raw(proxy.port)).ask(GET % b"")
    assert "proxyd_slow_requests_total{" not in await metrics(proxy)
    assert proxy.worker.telemetry.over_budget == [1, 1]
    assert [event for event in events if event["component"] == "slow"] == []


async def test_a_bucket_leads_to_a_trace(gateway, origin, raw):
    """OpenMetrics shows the last sampled trace of a bucket; the text format, and a request not sampled, none."""
    upstream = await origin(OK)
    zipkin = {"name": "zipkin", "config": {"http_endpoint": "http://127.0.0.1:9/spans", "sample_ratio": 0}}
    proxy = await gateway(config_for(upstream.port, plugins=[zipkin]))
    client = await raw(proxy.port)
    await client.ask(GET % b"")
    assert exemplars(await metrics(proxy, headers=OPENMETRICS)) == []
    await client.ask(GET % TRACE)
    (found,) = exemplars(await metrics(proxy, headers=OPENMETRICS))
    assert found.exemplar.labels["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert 0 < found.exemplar.value <= float(found.labels["le"])
    assert "4bf92f35" not in await metrics(proxy)


async def test_no_tracing_plugin_no_exemplar(gateway, origin, raw):
    """A trace that only passes through is in nobody's collector that the gateway knows of."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    await (await raw(proxy.port)).ask(GET % TRACE)
    assert exemplars(await metrics(proxy, headers=OPENMETRICS)) == []


def exemplars(text):
    return [sample for family in parse_openmetrics(text) for sample in family.samples if sample.exemplar]
