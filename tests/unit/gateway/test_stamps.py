"""Plugins with stamps between them, and what a client is told of it."""

from __future__ import annotations

import pytest

from proxyd.exchange import Client, Exchange
from proxyd.gateway.forwarded import TrustedIPs
from proxyd.gateway.marks import Marks
from proxyd.gateway.server_timing import ServerTiming
from proxyd.gateway.stamps import stamped
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.telemetry.spent import by_plugin


class Time:
    now = 100.0

    def __call__(self):
        return self.now

    def passes(self, seconds, answer=None):
        def phase(*arguments):
            self.now += seconds
            return arguments[1] if answer == "data" else answer

        return phase


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def exchange():
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers(), 0, keep_alive=True)
    return Exchange(head, Client("192.0.2.1", 1, "http", 80), 100.0)


def phases(**named):
    return {
        phase: named.get(phase, []) for phase in ("rewrite", "access", "header_filter", "body_filter", "log")
    }


def test_each_plugin_is_timed_by_phase(time, exchange):
    """Running the stamped phases in their order leaves what each of them took."""
    timed = stamped(
        phases(
            rewrite=[("a", time.passes(1.0))],
            access=[("a", time.passes(2.0)), ("b", time.passes(4.0))],
            header_filter=[("b", time.passes(8.0))],
        ),
        time,
    )
    for _, step in timed["rewrite"] + timed["access"]:
        assert step(exchange) is None
    time.now += 16.0
    for _, step in timed["header_filter"]:
        assert step(exchange, 200, Headers()) is None
    assert by_plugin(exchange, time()) == {
        ("a", "rewrite"): 1.0,
        ("a", "access"): 2.0,
        ("b", "access"): 4.0,
        ("b", "header_filter"): 8.0,
    }


def test_body_filters_add_up_and_pass_on(time, exchange):
    """One number however many pieces there are, the time of a failure included."""
    timed = stamped(phases(body_filter=[("a", time.passes(0.5, "data"))]), time)
    ((_, method),) = timed["body_filter"]
    assert [method(exchange, piece, False) for piece in (b"x", b"y")] == [b"x", b"y"]
    assert exchange.filtering == {"a": 1.0}


def test_log_and_what_is_empty_stay(time):
    """What comes after the answer is in nobody's time, and a phase without plugins needs no stamp."""
    given = phases(log=[("a", print)])
    assert stamped(given, time) == given


def test_the_line_has_what_is_over(time, exchange):
    """Parts in milliseconds that add up to the time so far; plugins are a part of the gateway's."""
    exchange.stamps = [(("a", "access"), 100.0), (None, 100.25)]
    exchange.body_waited = 0.125
    exchange.dialled, exchange.connected, exchange.sent = 100.5, 101.0, 101.0
    exchange.response_started = 103.0
    time.now = 103.25
    assert ServerTiming(time).line(exchange) == (
        b"Server-Timing: gateway;dur=625.00, plugins;dur=125.00, body;dur=125.00, connect;dur=500.00,"
        b" upstream;dur=2000.00\r\n"
    )


def test_an_answer_of_the_gateways_own_has_no_upstream(time, exchange):
    """Nobody was asked."""
    time.now = 100.001
    assert ServerTiming(time).line(exchange) == b"Server-Timing: gateway;dur=1.00\r\n"


def test_a_failed_upstream_has_the_time_until_now(time, exchange):
    """It was waited for up to the gateway's own answer."""
    exchange.dialled = 100.5
    time.now = 101.0
    assert ServerTiming(time).line(exchange) == b"Server-Timing: gateway;dur=500.00, upstream;dur=500.00\r\n"


def test_only_who_may_know_is_told(time, exchange):
    """The client's own address decides, and not that of the proxy before it."""
    marks = Marks((), time, timing=ServerTiming(time, TrustedIPs(["192.0.2.0/24"])))
    assert b"Server-Timing" in marks.proxied(exchange)
    assert b"Server-Timing" in marks.own(exchange)
    exchange.client_ip = "203.0.113.1"
    assert (marks.proxied(exchange), marks.own(exchange)) == (b"", b"")
