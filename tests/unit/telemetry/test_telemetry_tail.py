"""Requests for whoever watches: nothing while nobody does, a fair sample of what was asked for otherwise."""

from __future__ import annotations

import json

import pytest

from proxyd.model.entities import Consumer
from proxyd.telemetry.access_log import AccessLog
from proxyd.telemetry.record import Telemetry
from proxyd.telemetry.tail import IDLE, KEPT, WATCHERS, Filter, Tail


@pytest.fixture
def telemetry(clock):
    return Telemetry(clock)


@pytest.fixture
def tail(telemetry, clock, loop):
    return Tail(telemetry, clock, loop)


def take(tail, **filters):
    return json.loads(tail.take(filters))


def paths(told):
    return [line["path"] for line in told["lines"]]


def test_nothing_is_asked_of_requests_while_nobody_watches(exchange_of, telemetry, tail, loop):
    """Neither before the first fetch, nor after the last, nor when nobody has fetched for a while."""
    assert telemetry._note is None
    take(tail, a={})
    assert telemetry._note is not None
    take(tail)
    assert telemetry._note is None
    take(tail, a={})
    telemetry.finished(exchange_of(), None)
    assert loop.scheduled[-1][0] == IDLE
    for _ in list(loop.scheduled):
        loop.run_one()
    assert telemetry._note is None
    assert take(tail, a={})["a"] == {"seen": 0, "lines": []}
    assert repr(tail) == "<Tail watchers=1>"


def test_lines_are_those_of_the_access_log(exchange_of, telemetry, tail, clock, loop, writer):
    """With the secrets of queries masked, and the log still written."""
    logged = Telemetry(clock, AccessLog(writer, clock, loop))
    tail = Tail(logged, clock, loop)
    take(tail, a={})
    logged.finished(exchange_of(path="/x", query="?apikey=hush&n=1"), None)
    (line,) = take(tail, a={})["a"]["lines"]
    tail.stop()
    assert logged.close()
    assert line == json.loads(writer.lines[0])
    assert line["query"] == "apikey=REDACTED&n=1"
    logged.finished(exchange_of(), None)
    assert logged.access_log.note == logged._note


def test_each_watcher_gets_what_it_asks_for_once(exchange_of, telemetry, tail):
    """Counted since it began; what was fetched does not come again."""
    take(tail, all={}, bad={"status": "5xx"})
    telemetry.finished(exchange_of(path="/a", started=1.0), None)
    telemetry.finished(exchange_of(path="/b", started=2.0, status=503), None)
    told = take(tail, all={}, bad={"status": "5xx"})
    assert (told["all"]["seen"], paths(told["all"])) == (2, ["/a", "/b"])
    assert (told["bad"]["seen"], paths(told["bad"])) == (1, ["/b"])
    telemetry.finished(exchange_of(path="/c"), None)
    told = take(tail, all={})
    assert (told["all"]["seen"], paths(told["all"]), "bad" in told) == (3, ["/c"], False)


def test_many_are_sampled_and_counted(exchange_of, telemetry, tail):
    """No more than KEPT are held, from all of the time and not its beginning, in their order."""
    take(tail, a={})
    for number in range(KEPT * 20):
        telemetry.finished(exchange_of(path=f"/{number}", started=float(number)), None)
    told = take(tail, a={})["a"]
    numbers = [int(path[1:]) for path in paths(told)]
    assert (told["seen"], len(numbers)) == (KEPT * 20, KEPT)
    assert numbers == sorted(numbers)
    assert numbers[-1] > KEPT * 2  # 1 in 10**50 that none of them is


def test_no_more_watch_than_may(exchange_of, telemetry, tail):
    """Those beyond are not asked with every request."""
    assert len(take(tail, **{f"w{number}": {} for number in range(WATCHERS + 3)})) == WATCHERS


@pytest.mark.parametrize(
    ("asked", "accepted"),
    [
        ({"route": "orders"}, True),
        ({"route": "route-id"}, True),
        ({"route": "other"}, False),
        ({"consumer": "ann"}, True),
        ({"consumer": "bob"}, False),
        ({"status": "404"}, True),
        ({"status": "4XX"}, True),
        ({"status": "2xx"}, False),
        ({"method": "post"}, True),
        ({"method": "GET"}, False),
        ({"path": "ERS/n"}, True),
        ({"path": "zzz"}, False),
        ({"slow": "250"}, True),
        ({"slow": "251"}, False),
        ({"route": "orders", "status": "5xx"}, False),
    ],
)
def test_filters(exchange_of, asked, accepted):
    """Every part that is given has to fit."""
    exchange = exchange_of("POST", path="/orders/New", status=404, ended=1000.25)
    exchange.consumer = Consumer(id="c", username="ann")
    assert Filter.of(asked).accepts(exchange) is accepted


def test_filters_of_requests_that_matched_nothing(exchange_of):
    """Without route and consumer, they are of none."""
    nothing = exchange_of(matched=False)
    assert not Filter.of({"route": "orders"}).accepts(nothing)
    assert not Filter.of({"consumer": "ann"}).accepts(nothing)


@pytest.mark.parametrize(
    "wrong", [{"status": "x"}, {"slow": "-1"}, {"slow": "a"}, {"slow": "inf"}, {"path": "x" * 300}]
)
def test_what_is_no_filter_is_refused(wrong):
    """With the part that is wrong."""
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        Filter.of(wrong)
    assert caught.value.args[0] == next(iter(wrong))
