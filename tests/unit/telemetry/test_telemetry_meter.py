"""What is counted per route."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from proxyd.errors import GatewayError, Kind
from proxyd.telemetry.histogram import EDGES, FINE, KONG_OWN, KONG_UPSTREAM, SECONDS, Histogram
from proxyd.telemetry.meter import Meters, RouteMeter


def test_a_value_on_an_edge_falls_into_the_bucket_of_that_edge():
    """Edges are inclusive, as ``le`` says, so a request of exactly 20 ms is within 20 ms."""
    histogram = Histogram()
    for value in (0.02, 0.0200001, 0.0, 61.0):
        histogram.observe(value)
    buckets = dict(histogram.buckets())
    assert (buckets["0.015"], buckets["0.02"], buckets["0.025"]) == (1, 2, 3)
    assert (buckets["60"], buckets["+Inf"]) == (3, 4)
    assert histogram.sum == pytest.approx(61.0400001)
    assert repr(histogram) == "<Histogram count=4 sum=61.040000>"


def test_the_promised_edges_are_buckets():
    """20 and 40 ms can be read off exactly, and the range is 0.25 ms to 60 s."""
    assert {0.02, 0.04} <= set(EDGES)
    assert (EDGES[0], EDGES[-1]) == (0.00025, 60.0)
    assert list(EDGES) == sorted(set(EDGES))


def test_every_scale_reads_the_same_counts():
    """The edges of each scale are exact: what is on one counts as within it, what is beyond does not."""
    for scale, unit in ((SECONDS, 1), (KONG_OWN, 1000), (KONG_UPSTREAM, 1000)):
        for label in scale.labels[:-1]:
            histogram = Histogram()
            edge = float(label) / unit
            histogram.observe(edge)
            histogram.observe(edge * 1.0001)
            buckets = dict(histogram.buckets(scale))
            assert (buckets[label], buckets["+Inf"]) == (1, 2), (scale, label)
    assert repr(KONG_UPSTREAM).startswith("<Scale 25 50 80 ")


def test_an_exchange_is_counted_once_everywhere(exchange_of):
    """One exchange adds one to its status and to each histogram that it has a part in, and its bytes."""
    meter = RouteMeter("orders", "shop")
    own = meter.observe(
        exchange_of(
            "POST", sent=1000.003, response_ended=1000.023, ended=1000.024, bytes_received=10, bytes_sent=20
        )
    )
    assert own == pytest.approx(0.004)
    assert meter.requests == {"POST": {200: 1}}
    assert (sum(meter.whole.counts), sum(meter.upstream.counts), sum(meter.own.counts)) == (1, 1, 1)
    assert meter.own.counts[bisect_left(FINE, 0.004)] == 1
    assert (meter.bytes_received, meter.bytes_sent) == (10, 20)
    assert repr(meter) == "<RouteMeter route='orders' service='shop' requests=1>"


def test_a_local_answer_is_not_in_the_upstreams_histogram(exchange_of):
    """An exchange that asked no upstream leaves the upstream's latency alone."""
    meter = RouteMeter()
    meter.observe(exchange_of(status=404, ended=1000.001))
    assert (sum(meter.whole.counts), sum(meter.upstream.counts)) == (1, 0)


def test_methods_that_nobody_knows_share_one_series(exchange_of):
    """A client that invents methods makes no new time series."""
    meter = RouteMeter()
    for method in ("BREW", "get", "PROPFIND", "GET"):
        meter.observe(exchange_of(method))
    assert meter.requests == {"_OTHER": {200: 3}, "GET": {200: 1}}


def test_failures_retries_and_aborts_are_told_apart(exchange_of):
    """What went wrong is counted by kind and source, further tries by what came of them."""
    meter = RouteMeter()
    refused = GatewayError(Kind.CONNECT_REFUSED, "127.0.0.1:9")
    meter.observe(exchange_of(status=502, dialled=1000.0, tries=3, error=refused, ended=1000.1))
    meter.observe(exchange_of(dialled=1000.0, connected=1000.02, sent=1000.02, tries=2, ended=1000.1))
    meter.observe(exchange_of(status=499, aborted=True))
    assert meter.failures == {("connect_refused", "upstream"): 1}
    assert (meter.retries_failed, meter.retries_made_good) == (2, 1)
    assert meter.aborted == 1
    assert sum(meter.connect.counts) == 1  # the first never had a connection


def test_counters_go_on_across_reloads_and_go_with_their_route(exchange_of):
    """The same names give the same meter; retaining others forgets it."""
    meters = Meters()
    meter = meters.of("orders", "shop")
    meter.observe(exchange_of())
    assert meters.of("orders", "shop") is meter
    assert list(meters.used()) == [meter]
    other = meters.of("users", "shop")
    meters.retain([other])
    assert repr(meters) == "<Meters 1>"
    assert list(meters.used()) == []
    assert meters.of("orders", "shop") is not meter


def test_a_route_that_nobody_asked_for_holds_no_histograms():
    """Ten thousand quiet routes cost little: nothing is allocated before the first request."""
    meter = RouteMeter("quiet", "shop")
    assert not meter.used
    assert not hasattr(meter, "whole")
