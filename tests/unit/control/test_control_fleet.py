"""The figures of several workers, seen as one gateway."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from proxyd.errors import GatewayError, Kind
from proxyd.model.entities import Route, Service
from proxyd.telemetry import families, kong
from proxyd.telemetry.exposition import Exposition, FleetExposition
from proxyd.telemetry.rules import GAUGES, OF_MASTER
from proxyd.telemetry.source import DatabaseState
from proxyd.telemetry.sums import LIMIT, Sums
from proxyd.telemetry.tally import Measures

ORDERS = (("route", "orders"), ("service", "shop"))
OK = ("proxyd_http_requests_total", *sorted((*ORDERS, ("code", "200"), ("method", "GET"))))


async def nobody():
    """Ask no worker: what they have told has to do."""


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def master_families():
    yield GaugeMetricFamily("proxyd_workers", "Workers.", value=2)


async def text_of(fleet, accept=""):
    return (await FleetExposition(fleet, nobody, master_families).write(accept))[0].decode()


async def samples_of(fleet):
    found = list(parse_text(await text_of(fleet)))
    names = [family.name for family in found]
    assert len(names) == len(set(names)), "a family stands in two places"
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in found
        for sample in family.samples
    }


async def test_requests_of_all_workers_are_one_sum(fleet, worker):
    """Counters and histograms are added, whether a worker has written figures since or not."""
    first, second = worker(0, 100), worker(1, 101)
    first.serve(3, own=0.03, bytes_sent=5)
    first.reporter.write_now()
    first.serve(2)
    second.serve(4)
    samples = await samples_of(fleet)
    assert samples[OK] == 9
    assert samples["proxyd_overhead_seconds_count", *ORDERS] == 9
    assert samples["proxyd_overhead_seconds_bucket", ("le", "0.02"), *ORDERS] == 6
    assert samples["proxyd_overhead_seconds_sum", *ORDERS] == pytest.approx(0.096)
    assert samples["proxyd_http_body_bytes_total", ("direction", "sent"), *ORDERS] == 15
    assert samples["proxyd_latency_budget_exceeded_total", ("edge", "lower")] == 3


async def test_what_a_killed_worker_counted_stays(fleet, worker):
    """Whatever it had not written down as figures is in its journal: requests, failures, bytes, the budget."""
    first, second = worker(0, 100), worker(1, 101)
    second.serve(4)
    first.serve(3, own=0.05)
    refused = GatewayError(Kind.CONNECT_REFUSED)
    first.serve(status=502, tries=2, error=refused, dialled=1000.0, connected=1000.002, own=0.0)
    before = await samples_of(fleet)
    fleet.ended(100)
    after = await samples_of(fleet)
    assert after[OK] == before[OK] == 7
    for name in (
        "proxyd_retries_total",
        "proxyd_upstream_failures_total",
        "proxyd_latency_budget_exceeded_total",
    ):
        found = {key: value for key, value in after.items() if key[0] == name}
        assert found == {key: value for key, value in before.items() if key[0] == name}
        assert any(found.values())
    worker(0, 102).serve(1)
    assert (await samples_of(fleet))[OK] == 8
    assert repr(fleet).startswith(
        "<Fleet [<Account slot=1 pid=101>, <Account slot=0 pid=102>] past=<Total <Summary requests=4 "
    )


async def test_no_counter_goes_down_when_workers_come_and_go(fleet, worker):
    """Every cumulative series of every scrape is at least what it was, through kills and replacements."""
    before = {}
    pid = 100
    running = [worker(slot, pid + slot) for slot in range(3)]
    for turn in range(12):
        for one in running:
            one.serve(turn + 1)
            one.telemetry.loop_lag.observe(0.01)
        if turn % 3:
            running[0].reporter.write_now()
        pid += 10
        slot = turn % 3
        if turn % 2:  # new before old
            new = worker(slot, pid)
            running[slot].reporter.write_now()
            fleet.ended(running[slot].pid)
        else:
            fleet.ended(running[slot].pid)
            new = worker(slot, pid)
        running[slot] = new
        now = await samples_of(fleet)
        lasting = {
            key: value for key, value in now.items() if re.search(r"_(total|count|bucket|sum)$", key[0])
        }
        lasting = {key: value for key, value in lasting.items() if "worker', 'master'" not in str(key)}
        assert {key for key in before if lasting[key] < before[key]} == set()
        before = lasting
    assert before[OK] == 3 * sum(range(1, 13))
    lag = [value for key, value in before.items() if key[0] == "proxyd_eventloop_lag_seconds_count"]
    assert len(lag) == 3


async def test_gauges_follow_their_rules(fleet, worker):
    """Connections per worker, limits added, health as a share, certificates by the earliest end."""
    first, second = worker(0, 100), worker(1, 101)
    second.source.target_states[0] = type(second.source.target_states[0])(
        "shop", "a:80", "10.0.0.1:80", "UNHEALTHY", in_flight=5
    )
    for one in (first, second):
        one.reporter.write_now()
    samples = await samples_of(fleet)
    assert samples["proxyd_connections_limit",] == 128
    assert samples["proxyd_open_connections", ("state", "idle"), ("worker", "1")] == 2
    key = (("address", "10.0.0.1:80"), ("target", "a:80"), ("upstream", "shop"))
    assert samples["proxyd_upstream_healthy", *key] == 0.5
    assert samples["proxyd_upstream_requests_in_flight", *key] == 7
    expiry = [
        value for key, value in samples.items() if key[0] == "proxyd_certificate_expiry_timestamp_seconds"
    ]
    assert expiry == [1_800_000_000.0]
    assert samples["proxyd_workers",] == 2
    assert not any(key[0].startswith("proxyd_config") for key in samples)
    memory = {key[1][1] for key in samples if key[0] == "process_resident_memory_bytes"}
    assert memory == {"0", "1", "master"}
    fleet.ended(101)
    assert (await samples_of(fleet))["proxyd_connections_limit",] == 64


async def test_every_gauge_has_a_rule(busy, source):
    """A gauge that nobody thought of is not added up by chance."""
    told = [*families.others(busy, source), *kong.others(busy, source)]
    told += Exposition(busy, source).registry.collect()
    gauges = {metric.name for metric in told if metric.type not in {"counter", "histogram"}}
    assert gauges - GAUGES.keys() - OF_MASTER == set()


async def test_kongs_families_are_summed_too(fleet, worker):
    """What instances of the prometheus plugin count in each worker is one sum, a killed worker's included."""
    for slot in (0, 1):
        one = worker(slot, 100 + slot)
        tallies = one.telemetry.tallies
        tallies.running.append(Measures(status=True, bandwidth=True, latency=True))
        one.reporter.write_now()
        tally = tallies.of(Route(id="r", name="orders"), Service(id="s", name="shop", host="h"), "ann")
        tally.measures = Measures(status=True, bandwidth=True, latency=True)
        one.serve(2)
        for status in (200, 403):
            exchange = type("E", (), {"status": status, "head_received": 50, "bytes_received": 1})()
            exchange.response = type("R", (), {"status": 200})()
            exchange.head_sent, exchange.bytes_sent = 100, 2
            tally.observe(exchange)
    fleet.ended(100)
    samples = await samples_of(fleet)
    labels = {"consumer": "ann", "route": "orders", "service": "shop", "workspace": "default"}
    own = sorted({**labels, "code": "403", "source": "kong"}.items())
    passed = sorted({**labels, "code": "200", "source": "service"}.items())
    assert samples["kong_http_requests_total", *own] == samples["kong_http_requests_total", *passed] == 2
    egress = sorted({**labels, "direction": "egress"}.items())
    assert samples["kong_bandwidth_bytes_total", *egress] == 408
    del labels["consumer"]
    assert samples["kong_request_latency_ms_count", *sorted(labels.items())] == 4
    states = {
        dict(key[1:])["state"]: value
        for key, value in samples.items()
        if key[0] == "kong_nginx_connections_total"
    }
    assert (states["accepted"], states["active"]) == (18, 6)


async def test_routes_that_are_gone_are_forgotten(fleet, worker):
    """What was counted of a route disappears when no worker's configuration has it any more."""
    old = worker(0, 100)
    old.serve(3, route="orders")
    old.serve(3, route="gone")
    fleet.ended(100)
    assert "gone" in await text_of(fleet)
    new = worker(0, 101)
    new.telemetry.meters.of("orders", "shop")
    new.reporter.live(["ann"])
    text = await text_of(fleet)
    assert "gone" not in text
    assert 'proxyd_http_requests_total{code="200",method="GET",route="orders",service="shop"} 3.0' in text


async def test_replacements_leave_nothing_behind(fleet, worker):
    """After 200 replacements there are as many series and open files as before."""
    one = worker(0, 1)
    one.serve(2)
    before = {re.sub(" [^ ]*$", "", line) for line in (await text_of(fleet)).splitlines()}
    files = open_files()
    for pid in range(2, 202):
        fleet.ended(one.pid)
        one.journal.close()
        one.__init__(fleet, 0, pid)
        one.serve(2)
    after = await text_of(fleet)
    assert {re.sub(" [^ ]*$", "", line) for line in after.splitlines()} == before
    assert open_files() == files
    assert 'route="orders",service="shop"} 402.0' in after


async def test_openmetrics_has_one_end_and_exemplars_of_any_worker(fleet, worker):
    """The other format is whole, and a bucket's exemplar is the latest of all workers."""
    for slot in (0, 1):
        one = worker(slot, 100 + slot)
        one.serve()
        exchange = type("E", (), {"upgraded": False, "ended": 1000.011, "started": 1000.0})()
        exchange.dialled = exchange.sent = 1000.001
        exchange.response_ended, exchange.body_waited = 1000.01, 0.0
        exchange.traceparent = f"00-{slot:032x}-{7:016x}-01"
        one.telemetry.meters.of("orders", "shop").exemplify(exchange, 1_700_000_000.0 + slot)
        one.reporter.write_now()
    text = await text_of(fleet, "application/openmetrics-text;version=1.0.0")
    assert text.count("# EOF\n") == 1
    assert text.endswith("# EOF\n")
    exemplars = [
        sample.exemplar.labels["trace_id"]
        for family in parse_openmetrics(text)
        for sample in family.samples
        if sample.exemplar
    ]
    assert exemplars == [f"{1:032x}"]


async def test_a_worker_that_ends_leaves_what_its_parts_had_counted(fleet, worker):
    """What is stopped before the last report is in it as it was told before."""
    one = worker(0, 100)
    one.telemetry.deliveries.of("zipkin").sent = 3
    one.reporter.start()
    one.telemetry.deliveries.by_plugin.clear()
    one.telemetry.deliveries.of("opentelemetry").sent = 4
    one.source.key_sets = list
    await one.reporter.stop()
    fleet.ended(100)
    samples = await samples_of(fleet)
    assert samples["proxyd_spans_total", ("plugin", "zipkin"), ("result", "sent")] == 3
    assert samples["proxyd_spans_total", ("plugin", "opentelemetry"), ("result", "sent")] == 4
    fetches = {dict(key[1:])["result"]: value for key, value in samples.items() if "jwks_fetches" in key[0]}
    assert fetches == {"success": 3, "failure": 1}


async def test_figures_of_another_layout_are_left_out(fleet, worker):
    """A worker of a version that writes otherwise is not guessed at."""
    one = worker(0, 100)
    one.serve(2)
    one.journal.store(0, b'{"layout":"99"}', one.journal.count)
    assert "orders" not in await text_of(fleet)


def test_series_of_the_past_are_bounded():
    """Beyond the limit, those that no running process tells any more are forgotten."""
    past, live = Sums(), Sums()
    series = [["x_total", [["uri", str(number)]], 1.0] for number in range(LIMIT + 1)]
    past.add([["x", "X.", "counter", series]], "0")
    live.add([["x", "X.", "counter", series[:2]]], "0")
    past.limit(live)
    assert len(past) == 2
    assert repr(past) == "<Sums families=1 series=2>"


async def test_a_worker_reports_while_it_serves(fleet, worker):
    """A report in pieces is whole, and one that cannot wait takes its place."""
    one = worker(0, 100)
    one.serve(2)
    one.reporter.start()
    try:
        await one.reporter.write()
        one.serve(1)
        one.journal.full(True)
    finally:
        await one.reporter.stop()
    assert (await samples_of(fleet))[OK] == 3
    assert repr(one.reporter) == "<Reporter stopped reports=5>"
    assert os.getpid() == fleet.summary().states[0]["pid"]


async def test_figures_that_cannot_be_written_are_no_requests_trouble(fleet, worker, monkeypatch, capsys):
    """Whose record finds no room is counted all the same; the event log says what is wrong."""
    one = worker(0, 100)
    one.reporter.start()

    def write_now():
        raise OSError(28, "No space left on device")

    try:
        with monkeypatch.context() as patch:
            patch.setattr(one.reporter, "write_now", write_now)
            one.journal.full(True)
        one.serve(1)
    finally:
        await one.reporter.stop()
    assert "figures were not written down" in capsys.readouterr().err
    assert (await samples_of(fleet))[OK] == 1


async def test_the_master_tells_whether_the_database_answers(fleet, worker, telemetry, source):
    """Under Kong's name too, once, where any of Kong's metrics are told; workers have none to tell of."""
    followed = SimpleNamespace(state=DatabaseState(reachable=False))
    exposition = FleetExposition(fleet, nobody, master_families, lambda: [kong.of_datastore(followed)])
    one = worker(0, 100)
    one.reporter.write_now()
    assert b"kong_datastore" not in (await exposition.write(""))[0]
    for told in (one.telemetry, telemetry):
        told.tallies.running.append(Measures())
    one.reporter.write_now()
    source.database = followed
    for text in ((await exposition.write(""))[0], (await Exposition(telemetry, source).write(""))[0]):
        (line,) = [each for each in text.splitlines() if each.startswith(b"kong_datastore_reachable ")]
        assert line == b"kong_datastore_reachable 0.0"
    source.database = None
    assert b"kong_datastore_reachable 1.0" in (await Exposition(telemetry, source).write(""))[0]
