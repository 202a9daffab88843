"""Exemplars: which request stands for a bucket."""

from __future__ import annotations

from proxyd.telemetry.exemplars import Exemplars
from proxyd.telemetry.histogram import EDGES, Histogram
from proxyd.telemetry.meter import RouteMeter

FIRST, SECOND = (f"00-{letter * 32}-{letter * 16}-01" for letter in "ab")


def test_the_last_request_of_a_bucket_stands_for_it():
    """An edge belongs to the bucket below it; beyond the last edge there is one more."""
    kept = Exemplars()
    kept.note(0.02, FIRST, 1.0)
    kept.note(0.018, SECOND, 2.0)
    kept.note(61.0, FIRST, 3.0)
    shown = {bucket[0]: bucket[2] for bucket in kept.beside(Histogram().buckets()) if len(bucket) == 3}
    assert shown == {
        "0.02": ({"trace_id": "b" * 32, "span_id": "b" * 16}, 0.018, 2.0),
        "+Inf": ({"trace_id": "a" * 32, "span_id": "a" * 16}, 61.0, 3.0),
    }


def test_there_are_as_many_as_buckets():
    """However many requests there are."""
    kept = Exemplars()
    for number in range(10_000):
        kept.note(number / 100, FIRST, 0.0)
    assert len(kept.beside(Histogram().buckets())) == len(EDGES) + 1


def test_a_meter_has_none_until_a_request_was_traced(exchange_of):
    """Routes whose requests nobody traces hold nothing for it."""
    meter = RouteMeter()
    assert meter.exemplars is None
    meter.exemplify(exchange_of(traceparent=FIRST, ended=1000.004), 5.0)
    (bucket,) = [each for each in meter.exemplars.beside(Histogram().buckets()) if len(each) == 3]
    assert bucket[0] == "0.005"
