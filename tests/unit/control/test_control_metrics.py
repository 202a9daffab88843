"""What Prometheus reads."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from itertools import chain
from pathlib import Path

import pytest
from prometheus_client import Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from proxyd.telemetry import kong
from proxyd.telemetry.exposition import Exposition
from proxyd.telemetry.families import SLICE, pieces
from proxyd.telemetry.tally import Measures
from proxyd.telemetry.worker_families import STATES, WorkerCounts, of_workers

PROMTOOL = shutil.which("promtool")
MONITORING = Path(__file__).parents[3] / "docs" / "monitoring.md"


async def text_of(telemetry, source, accept=""):
    text, _ = await Exposition(telemetry, source).write(accept)
    return text.decode()


async def samples_of(telemetry, source):
    """Return every sample's value by its name and labels."""
    families = list(parse_text(await text_of(telemetry, source)))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family stands in two places"
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


ORDERS = (("route", "orders"), ("service", "shop"))


async def test_requests_are_counted_by_route_method_and_status(busy, source):
    """One series per route, service, method and status; unknown methods and unmatched requests have their own."""
    samples = await samples_of(busy, source)
    found = {key[1:]: value for key, value in samples.items() if key[0] == "proxyd_http_requests_total"}
    assert found == {
        (("code", "200"), ("method", "GET"), *ORDERS): 1,
        (("code", "200"), ("method", "POST"), *ORDERS): 1,
        (("code", "502"), ("method", "GET"), *ORDERS): 1,
        (("code", "404"), ("method", "_OTHER"), ("route", ""), ("service", "")): 1,
    }


async def test_the_three_latencies_are_histograms_in_seconds(busy, source):
    """The whole, the upstream's part and the gateway's own, with the promised edges as buckets."""
    samples = await samples_of(busy, source)
    whole, upstream, own = (
        f"proxyd_{name}_seconds" for name in ("http_request_duration", "upstream_duration", "overhead")
    )
    assert samples[whole + "_count", *ORDERS] == samples[upstream + "_count", *ORDERS] == 3
    assert samples[own + "_sum", *ORDERS] == pytest.approx(0.03)
    assert samples[own + "_bucket", ("le", "0.02"), *ORDERS] == 2
    assert samples[own + "_bucket", ("le", "0.04"), *ORDERS] == 3
    assert samples[own + "_bucket", ("le", "+Inf"), *ORDERS] == 3
    assert samples["proxyd_upstream_connect_seconds_count", *ORDERS] == 1
    unmatched = (("route", ""), ("service", ""))
    assert samples[upstream + "_count", *unmatched] == 0


async def test_what_goes_wrong_is_counted(busy, source):
    """Failures by kind, further tries by outcome, and requests over each edge of the budget."""
    samples = await samples_of(busy, source)
    fault = (("kind", "connect_refused"), *ORDERS, ("source", "upstream"))
    assert samples["proxyd_upstream_failures_total", *sorted(fault)] == 1
    assert samples["proxyd_retries_total", ("outcome", "failure"), *ORDERS] == 1
    assert samples["proxyd_retries_total", ("outcome", "success"), *ORDERS] == 0
    assert samples["proxyd_latency_budget_seconds", ("edge", "lower")] == 0.02
    assert samples["proxyd_latency_budget_seconds", ("edge", "upper")] == 0.04
    assert samples["proxyd_latency_budget_exceeded_total", ("edge", "lower")] == 1
    assert samples["proxyd_latency_budget_exceeded_total", ("edge", "upper")] == 0


async def test_connections_and_bytes_are_told(busy, source):
    """Connections by state, tunnels apart from requests, bytes by direction."""
    samples = await samples_of(busy, source)
    assert samples["proxyd_http_body_bytes_total", ("direction", "received"), *ORDERS] == 7
    assert samples["proxyd_http_body_bytes_total", ("direction", "sent"), *ORDERS] == 11
    states = {key[1][1]: value for key, value in samples.items() if key[0] == "proxyd_open_connections"}
    assert states == {"answering": 3, "idle": 2, "websocket": 1}
    assert samples["proxyd_http_requests_in_flight",] == 3
    assert samples["proxyd_websockets_open",] == 1
    assert samples["proxyd_connections_limit",] == 64
    assert samples["proxyd_connections_total",] == 9
    assert samples["proxyd_connections_refused_total",] == 1
    assert samples["proxyd_limits_strangers_total",] == 7
    assert samples["proxyd_limits_fallbacks_total", ("away", "file")] == 2
    assert samples["proxyd_redis_up", ("redis", "cache:6379/0")] == 0


async def test_overload_control_is_told_where_it_is_on(busy, source):
    """Refusals by reason and priority, and what may and does wait for each service; no family where it is off."""
    source.overload_state.queue.observe(0.03)
    samples = await samples_of(busy, source)
    assert samples["proxyd_shed_requests_total", ("priority", "sheddable"), ("reason", "backend")] == 5
    assert samples["proxyd_concurrency_limit", ("service", "shop")] == 40
    assert samples["proxyd_concurrency_in_flight", ("service", "shop")] == 39
    assert samples["proxyd_queue_seconds_count",] == 1
    source.overload_state = None
    assert "proxyd_shed" not in await text_of(busy, source)


async def test_targets_that_differ_only_in_protocol_are_one_series(busy, source):
    """An address that two services use is shown once: unhealthy if either is, its figures added."""
    source.target_states.append(source.target_states[0])
    samples = await samples_of(busy, source)
    first = (("address", "10.0.0.1:80"), ("target", "a:80"), ("upstream", "shop"))
    second = (("address", "10.0.0.2:80"), ("target", "b:80"), ("upstream", "shop"))
    third = (("address", "10.0.0.3:80"), ("target", "c:80"), ("upstream", ""))
    health = [samples["proxyd_upstream_healthy", *key] for key in (first, second, third)]
    assert health == [1, 0, 1]
    assert samples["proxyd_upstream_requests_in_flight", *first] == 4
    assert samples["proxyd_upstream_open_connections", *first] == 6


async def test_the_configuration_and_the_build_are_told(busy, source):
    """Generation, the last reload, attempts by result, and what runs."""
    source.config.refused([])
    samples = await samples_of(busy, source)
    assert samples["proxyd_config_generation",] == 1
    assert samples["proxyd_config_reloads_total", ("result", "success")] == 1
    assert samples["proxyd_config_reloads_total", ("result", "failure")] == 1
    assert samples["proxyd_config_last_reload_success",] == 0
    assert samples["proxyd_config_last_success_timestamp_seconds",] == 1_700_000_000.5
    assert samples["proxyd_config_hash_info", ("hash", "ab" * 32)] == 1
    assert any(key[0] == "proxyd_build_info" for key in samples)
    assert samples["proxyd_eventloop_lag_seconds_count",] == 1
    assert samples["process_resident_memory_bytes",] > 0


async def test_spans_are_told_by_what_became_of_them(busy, source):
    """One series per plugin and result."""
    samples = await samples_of(busy, source)
    found = {
        dict(key[1:])["result"]: value for key, value in samples.items() if key[0] == "proxyd_spans_total"
    }
    assert found == {"sent": 2, "dropped": 0, "failed": 0}


async def test_openmetrics_is_written_when_asked_for(busy, source):
    """Prometheus' own Accept header gets OpenMetrics, which ends once and parses."""
    text, content_type = await Exposition(busy, source).write(
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    )
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.count(b"# EOF") == 1
    names = {family.name for family in parse_openmetrics(text.decode())}
    assert {"proxyd_http_requests", "proxyd_overhead_seconds", "proxyd_build"} <= names


async def test_many_routes_are_written_between_other_work(telemetry, source, finished):
    """A family of many routes is one family in the text, and the loop runs while it is written."""
    routes = SLICE * 5 + 1
    for number in range(routes):
        finished(telemetry, telemetry.meters.of(f"route-{number}", "shop"))
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(count_turns())
    samples = await samples_of(telemetry, source)
    other.cancel()
    counts = [key for key in samples if key[0] == "proxyd_overhead_seconds_count"]
    assert len(counts) == routes
    assert turns >= 5 * 6


async def test_quiet_routes_have_no_series(telemetry, source):
    """A route that nobody asked for yet is not in the text."""
    telemetry.meters.of("quiet", "shop")
    assert "quiet" not in await text_of(telemetry, source)


async def test_names_with_quotes_and_line_feeds_are_escaped(telemetry, source, finished):
    """A route's name is a label value whatever it holds."""
    name = 'a"b\\c\nd'
    finished(telemetry, telemetry.meters.of(name, "shop"))
    samples = await samples_of(telemetry, source)
    assert ("proxyd_overhead_seconds_count", ("route", name), ("service", "shop")) in samples


async def test_metrics_of_others_are_written_too(telemetry, source):
    """What is registered beside proxyd's own families appears with them."""
    exposition = Exposition(telemetry, source)
    Gauge("plugin_things", "Things.", registry=exposition.registry).set(3)
    text, content_type = await exposition.write("")
    assert b"\nplugin_things 3.0\n" in text
    assert content_type.startswith("text/plain")
    assert "Exposition" in repr(exposition)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian package prometheus) is not installed")
async def test_promtool_has_nothing_to_say(busy, source):
    """The text passes ``promtool check metrics`` without a remark on proxyd's names; Kong's are what they are."""
    text = await text_of(busy, source)
    ours = "".join(
        line for line in text.splitlines(keepends=True) if "python_gc" not in line and "kong_" not in line
    )
    result = await asyncio.to_thread(
        subprocess.run, [PROMTOOL, "check", "metrics"], input=ours.encode(), capture_output=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian package prometheus) is not installed")
async def test_promtool_reads_kongs_names(busy, source):
    """Kong's families parse; what promtool remarks on is names and units that are Kong's choice, and nothing else."""
    text = await text_of(busy, source)
    theirs = "".join(line for line in text.splitlines(keepends=True) if "kong_" in line)
    result = await asyncio.to_thread(
        subprocess.run,
        [PROMTOOL, "check", "metrics"],
        input=theirs.encode(),
        capture_output=True,
        check=False,
    )
    assert result.returncode in {0, 3}, result.stderr  # 1 is a text that does not parse
    remarks = re.sub(r"^kong_\w+ ", "", result.stderr.decode(), flags=re.MULTILINE)
    assert set(remarks.splitlines()) <= {
        'use base unit "seconds" instead of "milliseconds"',
        'counter metrics should have "_total" suffix',
        'non-counter metrics should not have "_total" suffix',
        "metric names should not contain abbreviated units",
    }


# --- Kong's --------------------------------------------------------------------------------------------------

# What the dashboard that comes with Kong asks for (grafana.com, number 7424), by the labels that it groups by.
DASHBOARD = {
    "kong_bandwidth_bytes": {"service", "route", "direction"},
    "kong_http_requests_total": {"service", "route", "code"},
    "kong_kong_latency_ms_bucket": {"service", "route", "le"},
    "kong_memory_lua_shared_dict_bytes": {"shared_dict", "kong_subsystem"},
    "kong_memory_lua_shared_dict_total_bytes": {"shared_dict", "kong_subsystem"},
    "kong_memory_workers_lua_vms_bytes": {"pid", "kong_subsystem"},
    "kong_nginx_connections_total": {"state"},
    "kong_request_latency_ms_bucket": {"service", "route", "le"},
    "kong_upstream_latency_ms_bucket": {"service", "route", "le"},
    "kong_upstream_target_health": {"upstream", "target", "address", "state"},
}


async def test_kongs_dashboard_finds_what_it_asks_for(busy, source):
    """Each metric of the dashboard is there under its name, with the labels that its panels use."""
    labels = {}
    for line in (await text_of(busy, source)).splitlines():
        if match := re.match(r"(kong_\w+)(?:\{(.*)\})? ", line):
            labels.setdefault(match[1], set(re.findall(r'(\w+)="', match[2] or "")))
    assert {name: wanted - labels.get(name, set()) for name, wanted in DASHBOARD.items()} == {
        name: set() for name in DASHBOARD
    }


async def test_kongs_metrics_have_kongs_labels_and_types(busy, source):
    """Codes by who answered, bytes by direction, milliseconds in Kong's buckets, a state of four for each target."""
    text = await text_of(busy, source)
    samples = await samples_of(busy, source)
    route = (("route", "orders"), ("service", "shop"), ("workspace", "default"))
    by_code = {
        (dict(key[1:])["code"], dict(key[1:])["source"]): value
        for key, value in samples.items()
        if key[0] == "kong_http_requests_total"
    }
    assert by_code == {("200", "service"): 3, ("404", "kong"): 1}
    sent = 'consumer="",direction="egress",route="orders",service="shop",workspace="default"'
    assert f"\nkong_bandwidth_bytes{{{sent}}} 1100.0\n" in text
    assert "\n# TYPE kong_bandwidth_bytes counter\n" in text
    assert samples["kong_kong_latency_ms_sum", *route] == pytest.approx(30)
    assert [
        samples["kong_kong_latency_ms_bucket", ("le", le), *route] for le in ("1", "20", "30", "6000", "+Inf")
    ] == [2, 2, 3, 3, 3]
    assert samples["kong_request_latency_ms_count", *route] == 3
    health = {
        dict(key[1:])["target"] + " " + dict(key[1:])["state"]: value
        for key, value in samples.items()
        if key[0] == "kong_upstream_target_health"
    }
    assert (health["a:80 healthy"], health["a:80 unhealthy"], health["b:80 unhealthy"]) == (1, 0, 1)
    assert len(health) == 8  # c is of no upstream
    nodes = {dict(key[1:])["node_id"] for key in samples if key[0] == "kong_nginx_connections_total"}
    assert nodes == {kong.node_id()}


async def test_kongs_metrics_are_also_openmetrics(busy, source):
    """A Prometheus that asks for OpenMetrics, as it does of itself, gets them under the same names."""
    text, _ = await Exposition(busy, source).write("application/openmetrics-text;version=1.0.0")
    samples = {sample.name for family in parse_openmetrics(text.decode()) for sample in family.samples}
    assert samples >= DASHBOARD.keys()


async def test_kongs_metrics_are_not_told_unasked(busy, source):
    """Without an instance of the plugin there is none of them; of one that asks for nothing, none per route."""
    busy.tallies.running.clear()
    assert "kong_" not in await text_of(busy, source)
    busy.tallies.running.append(Measures())
    for tally in busy.tallies.all():
        tally.measures = Measures()
    names = {key[0] for key in await samples_of(busy, source) if key[0].startswith("kong_")}
    assert "kong_nginx_requests_total" in names
    assert names.isdisjoint(
        {"kong_http_requests_total", "kong_bandwidth_bytes", "kong_upstream_target_health"}
    )


def every_piece(telemetry, source):
    return chain(pieces(telemetry, source), kong.pieces(telemetry, source))


def test_every_family_is_documented(busy, source):
    """Each family, under the name that a query uses, and each of its labels stands in docs/monitoring.md."""
    text = MONITORING.read_text()
    suffix = {"counter": "_total", "info": "_info"}
    of_master = of_workers(STATES, WorkerCounts())
    for metric in chain(of_master, (piece.metric for piece in every_piece(busy, source))):
        name = metric.name + suffix.get(metric.type, "")
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}")] or [""]
        assert line, f"{name} is not described"
        for label in {label for sample in metric.samples for label in sample.labels} - {"le"}:
            assert f"`{label}`" in line, f"{name} has a label {label}"
