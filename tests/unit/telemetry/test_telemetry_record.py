"""The one call at the end of a request."""

from __future__ import annotations

import pytest

from proxyd.model.entities import Route, Service
from proxyd.telemetry.access_log import AccessLog
from proxyd.telemetry.record import Telemetry


def test_an_exchange_reaches_its_meter_and_the_access_log(exchange_of, clock, loop, writer):
    """A finished exchange is counted with its route and becomes one line."""
    log = AccessLog(writer, clock, loop)
    telemetry = Telemetry(clock, log)
    meter = telemetry.meter(Route(id="r", name="orders"), Service(id="s", host="shop"))
    assert (meter.route, meter.service) == ("orders", "s")
    telemetry.finished(exchange_of(), meter)
    assert telemetry.close()
    assert meter.total() == telemetry.requests == 1
    assert len(writer.lines) == 1
    assert writer.events[-1] == "close"


def test_what_matched_nothing_is_counted_without_names(exchange_of, clock):
    """Without a meter, an exchange is counted under an empty route and service."""
    telemetry = Telemetry(clock)
    telemetry.finished(exchange_of(status=404, matched=False), None)
    (meter,) = telemetry.meters.used()
    assert (meter.route, meter.service, meter.requests) == ("", "", {"GET": {404: 1}})
    assert repr(telemetry) == "<Telemetry requests=1 over_budget=[0, 0] None>"


@pytest.mark.parametrize(
    ("own", "expected"), [(0.02, [0, 0]), (0.021, [1, 0]), (0.04, [1, 0]), (0.041, [1, 1])]
)
def test_requests_over_the_budget_are_counted_per_edge(exchange_of, clock, own, expected):
    """Only the gateway's own part counts, and only beyond an edge."""
    telemetry = Telemetry(clock, budget=(0.02, 0.04))
    exchange = exchange_of(sent=1000.0, response_ended=1002.0, ended=1002.0 + own)
    exchange.ended = exchange.response_ended + own - 1e-9
    telemetry.finished(exchange, None)
    assert telemetry.over_budget == expected


def test_the_date_is_an_http_date_that_follows_the_clock(clock):
    """The Date of answers is formatted anew when the second changes."""
    telemetry = Telemetry(clock)
    assert telemetry.http_date() == b"Tue, 14 Nov 2023 22:13:20 GMT"
    clock.advance(0.9)
    assert telemetry.http_date() == b"Tue, 14 Nov 2023 22:13:20 GMT"
    clock.advance(0.2)
    assert telemetry.http_date() == b"Tue, 14 Nov 2023 22:13:21 GMT"
    assert repr(telemetry.http_date) == "<HttpDate Tue, 14 Nov 2023 22:13:21 GMT>"


def test_without_an_access_log_nothing_is_dropped_or_closed(clock):
    """Reopening, closing and counting dropped lines work where there is no log."""
    telemetry = Telemetry(clock)
    telemetry.reopen()
    assert telemetry.dropped_lines == 0
    assert telemetry.close()
