"""Subscriptions that clients share: who is let in, who is slow, and a backend that goes away."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from proxyd.exchange import Client, Exchange
from proxyd.graphql.document import Document
from proxyd.graphql.request import Asked
from proxyd.graphql.subscriptions import feed
from proxyd.graphql.subscriptions.shared import Shares, Sharing
from proxyd.graphql.subscriptions.shared_source import SharedSource
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead

NEWS = "subscription { news }"


class Backend:
    """A source that a test speaks for."""

    def __init__(self, holder):
        self.holder = holder
        self.asked = []
        self.listener = None
        self.closed = False
        self.paused = 0

    def open(self, payload):
        self.payload = payload

    def subscribe(self, asked, operation, listener):
        self.asked.append((asked.query, asked.variables))
        self.listener = listener
        return self

    def pause(self):
        self.paused += 1

    def resume(self):
        self.paused -= 1

    def stop(self):
        self.asked.append("stopped")

    def close(self):
        self.closed = True


def learned(shares, query, name=None):
    """Return an operation, as it is when its tree is gone."""
    document = Document(query)
    for step in shares.steps:
        step.learn(document)
    document.forget()
    return document.operation(name)


class Someone:
    """A client: the holder of its source, and the listener of its operations."""

    def __init__(self, shares, **headers):
        self.heard = []
        self.own = []
        self.shares = shares
        fields = Headers.of([(name.encode(), value.encode()) for name, value in headers.items()])
        head = RequestHead("POST", "/", "/", "", 1, "h", fields, 0, keep_alive=True)
        self.exchange = Exchange(head, Client("192.0.2.1", 1, "http", 80), 0.0)
        self.source = SharedSource(shares, self.exchange, self, self.make)
        self.source.open(b'{"token":1}')
        self.stop_at = None

    def make(self, holder):
        self.own.append(Backend(holder))
        return self.own[-1]

    def asks(self, query=NEWS, name=None, **variables):
        operation = learned(self.shares, query, name)
        asked = Asked({"query": query, "operationName": name, "variables": variables})
        self.subscription = self.source.subscribe(asked, operation, self)
        return self

    def opened(self, payload):
        self.heard.append(("opened", payload))

    def lost(self, code, reason):
        self.heard.append(("lost", code, reason))

    def next(self, payload):
        self.heard.append(payload)
        if len(self.heard) == self.stop_at:
            self.subscription.pause()

    def failed(self, errors):
        self.heard.append(errors)

    def completed(self):
        self.heard.append("completed")

    @property
    def results(self):
        return self.heard[1:]


@pytest.fixture
def backends():
    """Give the sources that were made for everybody."""
    return []


@pytest.fixture
def sharing(backends):
    """Make what is shared."""

    def make(**settings):
        def making(exchange, vary):
            sent = {name: exchange.headers.get(name) for name in vary}

            def one(holder):
                backends.append(Backend(holder))
                backends[-1].sent = sent
                return backends[-1]

            return one

        return Shares(
            Sharing(**{"fields": ("news", "Subscription.votes"), **settings}), making, lambda _: ("s",)
        )

    return make


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Have time pass when a test says so: the timers of the loop, as they are set."""

    class Timers(list):
        now = 0.0

    timers = Timers()

    class Loop:
        def call_later(self, delay, callback):
            timers.append((delay, callback))
            return self

        def cancel(self):
            timers.clear()

        def time(self):
            return timers.now

    loop = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    monkeypatch.setattr(feed.random, "uniform", lambda _, most: most)
    return timers


def pass_time(waits):
    delay, callback = waits.pop()
    callback()
    return delay


# --- who shares ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "shared"),
    [
        (NEWS, True),
        ("subscription A { a: news b: votes { id } }", True),
        ("subscription { news mine }", False),
        (
            "subscription { ...F } fragment F on Subscription { news ...G } fragment G on Subscription { votes }",
            True,
        ),
        ("subscription { ... on Subscription { mine } }", False),
        ("subscription { ...F } fragment F on Subscription { mine }", False),
        ("subscription Public { mine }", True),
        ("query { news }", False),
        ("query Public { mine }", False),
    ],
)
def test_what_is_declared_public_is_shared(sharing, query, shared):
    """By the fields at its root, wherever they stand, or by its name; subscriptions alone."""
    shares = sharing(operations=("Public",))
    assert shares.shares(learned(shares, query)) is shared


def test_what_differs_has_a_feed_of_its_own(sharing, backends):
    """Documents, operations, variables in any order, and the headers that were named."""
    shares = sharing(vary=("Accept-Language",))
    two = "subscription A { news } subscription B { news }"
    Someone(shares).asks(x=1, y=2)
    Someone(shares).asks(y=2, x=1)
    assert len(backends) == 1
    Someone(shares).asks(x=1, y=3)
    Someone(shares).asks("subscription { news }  ", x=1, y=2)
    Someone(shares).asks(two, "A")
    Someone(shares).asks(two, "B")
    Someone(shares, **{"accept-language": "de", "authorization": "secret"}).asks(x=1, y=2)
    assert len(backends) == 6
    assert backends[5].sent == {b"accept-language": b"de"}
    assert backends[0].sent == {b"accept-language": None}


def test_nobody_is_told_by_a_header_that_says_who_asks():
    """Such a one must not vary what is public."""
    with pytest.raises(ValidationError, match="not public"):
        Sharing(fields=("news",), vary=("Authorization",))


def test_there_is_room_for_so_many(sharing, backends):
    """Whoever asks for another has a source of their own, as if nothing were shared."""
    shares = sharing(max_subscriptions=1)
    Someone(shares).asks()
    one = Someone(shares).asks(x=1)
    assert (len(backends), len(one.own)) == (1, 1)


# --- results -------------------------------------------------------------------------------------------------


def test_each_hears_what_comes_from_then_on(sharing, backends):
    """And the end; the backend is asked once."""
    shares = sharing()
    early = Someone(shares).asks()
    backends[0].holder.opened(b"")
    assert backends[0].asked == [(NEWS, {})]
    backends[0].listener.next(b"1")
    late = Someone(shares).asks()
    backends[0].listener.next(b"2")
    backends[0].listener.completed()
    assert early.heard == [("opened", b""), b"1", b"2", "completed"]
    assert late.heard == [("opened", b""), b"2", "completed"]
    assert (len(backends), backends[0].closed, repr(shares)) == (1, True, "<Shares feeds=0>")


def test_errors_of_the_backend_reach_everybody(sharing, backends):
    """They are about the operation, so that asking again would not help."""
    shares = sharing()
    clients = [Someone(shares).asks() for _ in range(2)]
    backends[0].holder.opened(b"")
    backends[0].listener.failed(b"[1]")
    assert [client.results for client in clients] == [[b"[1]"], [b"[1]"]]


def test_a_slow_client_holds_up_nobody(sharing, backends):
    """Its results wait, and come once it takes them; it may be slow again meanwhile."""
    shares = sharing(buffer=3)
    slow, quick = Someone(shares).asks(), Someone(shares).asks()
    backends[0].holder.opened(b"")
    slow.subscription.pause()
    for payload in (b"1", b"2", b"3"):
        backends[0].listener.next(payload)
    assert (slow.results, quick.results, backends[0].paused) == ([], [b"1", b"2", b"3"], 0)
    slow.stop_at = 3
    slow.subscription.resume()
    assert (slow.results, repr(slow.subscription)) == ([b"1", b"2"], "<Member slow waiting=1>")
    slow.subscription.resume()
    assert slow.results == [b"1", b"2", b"3"]
    slow.subscription.pause()
    backends[0].listener.next(b"4")
    backends[0].listener.completed()
    assert slow.results == [b"1", b"2", b"3", b"4", "completed"]


def test_a_client_that_is_too_slow_is_let_go(sharing, backends):
    """Or misses the oldest, where that is wanted."""
    shares = sharing(buffer=2)
    slow = Someone(shares).asks()
    backends[0].holder.opened(b"")
    slow.subscription.pause()
    for payload in (b"1", b"2", b"3", b"4"):
        backends[0].listener.next(payload)
    assert slow.results == [
        b'[{"message":"The client is too slow for this subscription","extensions":{"code":"CLIENT_TOO_SLOW"}}]'
    ]
    dropping = sharing(buffer=2, overflow="drop_oldest")
    slow = Someone(dropping).asks()
    backends[1].holder.opened(b"")
    slow.subscription.pause()
    for payload in (b"1", b"2", b"3", b"4"):
        backends[1].listener.next(payload)
    slow.subscription.resume()
    assert slow.results == [b"3", b"4"]


# --- coming and going ----------------------------------------------------------------------------------------


def test_the_backend_is_kept_for_a_while(sharing, backends, waits):
    """Whoever comes within the grace finds it; behind that, it is let go of."""
    shares = sharing(grace=7)
    one = Someone(shares).asks()
    one.subscription.stop()
    one.subscription.stop()
    assert [delay for delay, _ in waits] == [7]
    two = Someone(shares).asks()
    assert (waits, len(backends)) == ([], 1)
    two.source.close()
    assert pass_time(waits) == 7
    assert (backends[0].closed, repr(shares)) == (True, "<Shares feeds=0>")


def test_nothing_is_kept_of_a_generation_that_is_over(sharing, backends, waits):
    """A feed that has clients goes on until the last one leaves; no other is begun."""
    shares = sharing()
    one, two = Someone(shares).asks(), Someone(shares).asks(x=1)
    two.subscription.stop()
    shares.stop()
    assert (backends[0].closed, backends[1].closed) == (False, True)
    one.subscription.stop()
    assert (backends[0].closed, waits, repr(shares)) == (True, [], "<Shares feeds=0>")
    three = Someone(shares).asks()
    assert (len(backends), len(three.own)) == (2, 1)


def test_a_backend_that_goes_away_is_asked_again(sharing, backends, waits):
    """After times that double while nothing comes; clients hear nothing of it, until it is too often."""
    shares = sharing(reconnects=2)
    one = Someone(shares).asks()
    backends[0].holder.opened(b"")
    backends[0].listener.next(b"1")
    backends[0].holder.lost(1012, "gone")
    assert pass_time(waits) == feed.FIRST_WAIT
    backends[1].holder.opened(b"")
    backends[1].holder.lost(1012, "gone")
    assert pass_time(waits) == 2 * feed.FIRST_WAIT
    backends[2].holder.opened(b"")
    backends[2].listener.next(b"2")
    for number in (2, 3):
        backends[number].holder.lost(1012, "gone")
        pass_time(waits)
    assert one.results == [b"1", b"2"]
    backends[4].holder.lost(1012, "gone")
    assert one.results[2:] == [b'[{"message":"gone","extensions":{"code":"UPSTREAM_UNAVAILABLE"}}]']
    assert (waits, repr(shares)) == ([], "<Shares feeds=0>")


def test_a_backend_that_was_there_for_long_is_asked_as_one_that_never_was_away(sharing, backends, waits):
    """A service's read_timeout ends a quiet stream that sends no comments, time and again."""
    one = Someone(sharing(reconnects=1)).asks()
    for number in range(5):
        backends[number].holder.opened(b"")
        waits.now += 60
        backends[number].holder.lost(1012, "gone")
        assert pass_time(waits) == feed.FIRST_WAIT
    assert one.results == []


def test_the_failure_of_one_client_is_its_own(sharing, backends):
    """Others hear the result all the same."""
    shares = sharing()
    one, other = Someone(shares).asks(), Someone(shares).asks()

    def fail(payload):
        raise RuntimeError(payload)

    one.next = fail
    backends[0].holder.opened(b"")
    backends[0].listener.next(b"1")
    backends[0].listener.next(b"2")
    assert other.results == [b"1", b"2"]
    assert one.results == [
        b'[{"message":"Internal server error","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]'
    ]


def test_nobody_waits_for_a_backend_when_all_have_left(sharing, backends, waits):
    """What would ask again is called off."""
    shares = sharing()
    one = Someone(shares).asks()
    backends[0].holder.lost(1012, "gone")
    one.subscription.stop()
    assert (waits, repr(shares)) == ([], "<Shares feeds=0>")


# --- what is not shared --------------------------------------------------------------------------------------


def test_a_source_of_its_own_is_opened_when_it_is_needed(sharing):
    """With what the client has sent; operations wait for it, paused or stopped meanwhile."""
    one = Someone(sharing()).asks()
    assert one.own == []
    one.asks("subscription { mine }")
    waiting = one.subscription
    one.asks("subscription { mine }", x=1)
    one.subscription.stop()
    waiting.pause()
    (own,) = one.own
    assert (own.payload, own.asked) == (b'{"token":1}', [])
    own.holder.opened(b"ack")
    assert (own.asked, own.paused) == ([("subscription { mine }", {})], 1)
    waiting.resume()
    one.asks("query { mine }")
    assert (len(own.asked), own.paused) == (2, 0)
    waiting.stop()
    one.source.close()
    assert own.closed


def test_a_source_of_its_own_that_is_lost_is_the_clients_loss(sharing, backends, waits):
    """Its session ends, shared or not."""
    one = Someone(sharing()).asks().asks("query { mine }")
    one.own[0].holder.lost(1012, "gone")
    assert one.heard == [("opened", b""), ("lost", 1012, "gone")]
    assert len(waits) == 1
    backends[0].holder.opened(b"")
    backends[0].listener.next(b"1")
    assert len(one.heard) == 2
