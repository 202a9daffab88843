"""What requests ask of overload control, one at a time and with time standing where the test puts it."""

from __future__ import annotations

import asyncio

import pytest

from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.identity import identify
from proxyd.model.entities import Consumer
from proxyd.overload import control
from proxyd.overload.control import Overload
from proxyd.overload.ranks import ANONYMOUS, CRITICAL, KNOWN, SHEDDABLE, rank_of


class Sink:
    def __init__(self):
        self.done = []
        self.keeps = True

    def settle_body(self):
        return self.keeps

    def write(self, data):
        self.done.append(data)

    def finish(self):
        self.done.append("finish")


class Snapshot:
    """Ranks requests by their path."""

    ranked = True

    def __init__(self):
        self.router = self
        self.payload = self
        self.rank = ANONYMOUS

    def match(self, _scheme, _method, _host, path, _headers, _sni):
        self.rank = {"/pay": CRITICAL, "/stats": SHEDDABLE}.get(path, ANONYMOUS)
        return self if path != "/none" else None


@pytest.fixture
def overload(clock):
    return Overload(0.02, 2, 3, clock)


def exchange_at(clock, path="/", address="192.0.2.7", method="GET"):
    head = RequestHead(method, path, path, "", 1, "api.test", Headers(), 0, keep_alive=True)
    return Exchange(head, Client(address, 1, "http", 8000), clock.now())


def line_up(overload, clock, late=0.03):
    """Have a line stand; the loop has looked just now."""
    for _ in range(3):
        clock.advance(late)
        overload.look(late)


def test_the_answer(overload, clock):
    """It has Kong's shape, a Retry-After that differs from one to the next, and keeps the connection."""
    line_up(overload, clock)
    clock.advance(0.035)
    answers = []
    for _ in range(4):
        sink = Sink()
        assert overload.sheds(exchange_at(clock), sink, Snapshot())
        answers.append(sink.done[0])
        assert sink.done[1:] == ["finish"]
    assert answers[0].startswith(b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json")
    assert answers[0].endswith(
        b'\r\nConnection: keep-alive\r\n\r\n{\n  "message":"The gateway is overloaded"\n}'
    )
    assert sorted(answer.partition(b"Retry-After: ")[2][:1] for answer in answers) == [b"1", b"2", b"3", b"4"]


def test_the_answer_to_head_and_before_the_end(overload, clock):
    """HEAD gets no body, and a connection that cannot go on is told so."""
    line_up(overload, clock)
    clock.advance(0.035)
    sink = Sink()
    sink.keeps = False
    assert overload.sheds(exchange_at(clock, method="HEAD"), sink, Snapshot())
    assert sink.done[0].endswith(b"Connection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "waited", "shed"),
    [
        ("/stats", 0.019, False),
        ("/stats", 0.021, True),
        ("/", 0.029, False),
        ("/", 0.031, True),
        ("/none", 0.031, True),
        ("/pay", 0.109, False),
        ("/pay", 0.111, True),
    ],
)
def test_patience_by_route(overload, clock, path, waited, shed):
    """Half the target for what can be dropped, the target, and four times that for what matters most."""
    line_up(overload, clock)
    if path == "/pay":  # counts from when reading began
        clock.advance(0.021)
        assert not overload.sheds(exchange_at(clock, "/pay"), Sink(), Snapshot())
        waited -= 0.02
    clock.advance(waited)
    assert overload.sheds(exchange_at(clock, path), Sink(), Snapshot()) is shed


def test_time_that_others_had_is_not_held_against_requests(overload, clock, monkeypatch):
    """A loop that was not let to work refuses nobody for that."""
    line_up(overload, clock)
    monkeypatch.setattr(overload, "_worked", lambda: overload.line.worked + 0.025)
    clock.advance(10.0)
    assert not overload.sheds(exchange_at(clock), Sink(), Snapshot())
    assert overload.sheds(exchange_at(clock, "/stats"), Sink(), Snapshot())


def test_an_address_is_known_by_who_has_authenticated_from_it(overload, clock):
    """It has twice the patience then, for ten minutes; a request that was not let in changes nothing."""
    stranger, known = "192.0.2.1", "192.0.2.2"
    asked = exchange_at(clock, address=known)
    identify(asked, Consumer(id="c", username="app"))
    assert overload.admit(asked, overload.limit("orders"), ANONYMOUS) is None
    overload.admit(exchange_at(clock, address=stranger), overload.limit("orders"), ANONYMOUS)
    line_up(overload, clock)
    clock.advance(0.04)
    assert not overload.sheds(exchange_at(clock, address=known), Sink(), Snapshot())
    assert overload.sheds(exchange_at(clock, address=stranger), Sink(), Snapshot())
    clock.advance(control.KEPT)
    line_up(overload, clock)
    clock.advance(0.04)
    assert overload.sheds(exchange_at(clock, address=known), Sink(), Snapshot())


def test_who_counts_as_anonymous_is_not_known(overload, clock):
    """A wrong key lifts nobody where an anonymous consumer is configured."""
    asked = exchange_at(clock)
    identify(asked, Consumer(id="a", username="anybody"), anonymous=True)
    overload.admit(asked, overload.limit("orders"), ANONYMOUS)
    assert overload._addresses == {}


def test_addresses_are_bounded(overload, clock, monkeypatch):
    """The one that was noted longest ago makes room."""
    monkeypatch.setattr(control, "REMEMBERED", 2)
    for number in (1, 2, 1, 3):
        clock.advance(control.FRESH)
        overload._note(f"192.0.2.{number}", clock.now())
    assert list(overload._addresses) == ["192.0.2.1", "192.0.2.3"]


def test_a_full_service(overload, clock):
    """What does not fit is refused with a Retry-After, and told in the figures, until there is room."""
    limit = overload.limit("orders")
    first, second, third = (exchange_at(clock) for _ in range(3))
    assert overload.admit(first, limit, ANONYMOUS) is None
    assert overload.admit(second, limit, ANONYMOUS) is None
    refusal = overload.admit(third, limit, ANONYMOUS)
    assert (refusal.status, refusal.message) == (503, "The service is overloaded")
    assert refusal.headers.get(b"retry-after").isdigit()
    first.permit.answered(first, 200, clock.now())
    assert overload.admit(third, limit, ANONYMOUS) is None
    state = overload.state()
    assert {key: count for key, count in state.shed.items() if count} == {("backend", "anonymous"): 1}
    assert [(one.service, one.limit, one.in_flight) for one in state.services] == [("orders", 3, 2)]


def test_newcomers_do_not_wait_for_the_end_of_a_line(overload, clock):
    """While a line stands, each look accepts some; otherwise the loop does that by itself."""
    asked = []
    overload.let_in = asked.append
    overload.look(0.0)
    line_up(overload, clock)
    overload.look(0.03)
    assert asked == [control.NEWCOMERS] * 2


def test_two_events_for_an_overload(overload, clock, events):
    """One with the first refusal, and one when there has been none for a while, with what there was between."""
    line_up(overload, clock)
    clock.advance(0.035)
    for _ in range(100):
        overload.sheds(exchange_at(clock), Sink(), Snapshot())
    clock.advance(6.0)
    overload.look(0.0)
    overload.look(0.0)
    assert [(event["event"], event["reason"]) for event in events] == [
        ("overloaded, requests are shed", "gateway"),
        ("no longer overloaded", "gateway"),
    ]
    assert events[1]["shed"] == 100


def test_waiting_is_counted_by_request(overload, clock):
    """As many as came since the last look, with how late that look was."""
    for _ in range(3):
        assert not overload.sheds(exchange_at(clock), Sink(), Snapshot())
    overload.look(0.004)
    overload.look(0.5)
    assert sum(overload.queue.counts) == 3
    assert overload.queue.sum == pytest.approx(0.012)


def test_ranks_by_tags():
    """A route's tag comes before its service's; other tags say nothing."""
    assert rank_of(("team:a", "priority:critical"), ("priority:sheddable",)) == CRITICAL
    assert rank_of((), ("priority:sheddable",)) == SHEDDABLE
    assert rank_of(None, ("priority:high",)) == ANONYMOUS
    assert KNOWN < ANONYMOUS


@pytest.fixture
def loop():
    return asyncio.new_event_loop()
