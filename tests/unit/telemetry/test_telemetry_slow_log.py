"""Events about slow requests: what they tell, and how many there are."""

from __future__ import annotations

import orjson
import pytest

from proxyd.telemetry import slow_log
from proxyd.telemetry.events import _output
from proxyd.telemetry.record import Telemetry
from proxyd.telemetry.redact import Redactor
from proxyd.telemetry.slow_log import LINES, SlowLog


@pytest.fixture
def events(monkeypatch):
    """Collect what is logged."""
    written = []
    monkeypatch.setattr(_output, "write", lambda line: written.append(orjson.loads(line)))
    return written


@pytest.fixture
def slow(clock, loop):
    return SlowLog(0.04, clock, loop, Redactor())


def test_an_event_tells_where_the_time_went(slow, loop, events, exchange_of):
    """The parts of the whole, and the plugins, the slowest first; secrets of the query are taken out."""
    slow.note(
        exchange_of(
            query="?apikey=hush&page=2",
            traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
            peer="10.0.0.1:80",
            stamps=[
                (("key-auth", "access"), 1000.001),
                (("acl", "access"), 1000.003),
                (None, 1000.053),
            ],
            body_waited=0.01,
            dialled=1000.06,
            connected=1000.07,
            sent=1000.07,
            response_started=1000.1,
            response_ended=1000.12,
            ended=1000.121,
        )
    )
    assert events == []
    loop.run_one()
    (event,) = events
    assert (event["level"], event["component"], event["event"]) == ("warn", "slow", "slow request")
    assert (event["route"], event["service"], event["status"]) == ("orders", "shop", 200)
    assert (event["query"], event["trace_id"]) == ("apikey=REDACTED&page=2", "a" * 32)
    parts = {name: value for name, value in event.items() if name.endswith("_ms")}
    assert parts == {
        "total_ms": 121.0,
        "gateway_ms": 51.0,
        "queue_ms": 1.0,
        "body_ms": 10.0,
        "connect_ms": 10.0,
        "upstream_ms": 60.0,
        "write_ms": 1.0,
    }
    assert event["plugins"] == [
        {"plugin": "acl", "phase": "access", "ms": 50.0},
        {"plugin": "key-auth", "phase": "access", "ms": 2.0},
    ]
    assert "left_out" not in event


def test_a_second_has_so_many_events_and_the_next_one_tells_of_the_rest(slow, loop, events, exchange_of):
    """A gateway that is slow with everything does not log everything."""
    for _ in range(LINES + 3):
        slow.note(exchange_of(ended=1000.5))
    slow.note(exchange_of(ended=1001.6))
    loop.run_one()
    assert [event.get("left_out") for event in events] == [3, *[None] * LINES]
    assert slow.left_out == 3


def test_what_was_left_out_is_told_at_the_end(slow, events, exchange_of):
    """Closing writes what is noted, and the number of those that nobody will read of."""
    for _ in range(LINES):
        slow.note(exchange_of())
    slow.close()
    slow.note(exchange_of())
    slow.close()
    assert len(events) == LINES + 1
    assert (events[-1]["event"], events[-1]["left_out"]) == ("slow requests were left out", 1)


def test_plugins_of_an_event_are_bounded(slow, loop, events, exchange_of, monkeypatch):
    """The slowest ones are told."""
    monkeypatch.setattr(slow_log, "PLUGINS", 1)
    slow.note(exchange_of(filtering={"a": 0.1, "b": 0.2}))
    loop.run_one()
    assert [one["plugin"] for one in events[0]["plugins"]] == ["b"]


def test_only_what_is_beyond_the_edge_is_slow(clock, slow, loop, events, exchange_of):
    """The gateway's own part counts, and neither the upstream's nor the wait for the client's body."""
    telemetry = Telemetry(clock, slow=slow)
    meter = telemetry.meters.of("orders", "shop")
    telemetry.finished(exchange_of(sent=1000.03, response_ended=1009.0, ended=1009.0), meter)
    telemetry.finished(exchange_of(body_waited=0.05, ended=1000.06), meter)
    assert (meter.slow, loop.scheduled) == (0, [])
    telemetry.finished(exchange_of(ended=1000.05), meter)
    telemetry.finished(exchange_of(ended=1000.05), None)
    assert (meter.slow, telemetry.meters.unmatched.slow) == (1, 1)
    telemetry.close()
    assert [event["gateway_ms"] for event in events] == [50.0, 50.0]
