"""Finished exchanges, and time that the test sets."""

from __future__ import annotations

import pytest

from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.entities import Route, Service

ROUTE = Route(id="route-id", name="orders")
SERVICE = Service(id="service-id", name="shop", host="shop.internal")


class FakeClock:
    def __init__(self):
        self.monotonic = 1000.0
        self.wall = 1_700_000_000.0

    def now(self):
        return self.monotonic

    def time(self):
        return self.wall

    def advance(self, seconds):
        self.monotonic += seconds
        self.wall += seconds


class FakeHandle:
    def __init__(self):
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class FakeLoop:
    """Keeps what was scheduled until the test runs it."""

    def __init__(self):
        self.scheduled = []

    def call_later(self, delay, callback):
        handle = FakeHandle()
        self.scheduled.append((delay, callback, handle))
        return handle

    def call_soon(self, callback):
        return self.call_later(0, callback)

    def run_one(self):
        delay, callback, handle = self.scheduled.pop(0)
        if not handle.cancelled:
            callback()
        return delay


class FakeWriter:
    destination = "memory"

    def __init__(self):
        self.batches = []
        self.dropped = 0
        self.events = []

    @property
    def lines(self):
        return b"".join(self.batches).splitlines()

    def write(self, data, lines):
        assert data.count(b"\n") == lines
        self.batches.append(data)
        self.events.append(lines)

    def reopen(self):
        self.events.append("reopen")

    def close(self):
        self.events.append("close")
        return True


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def loop():
    return FakeLoop()


@pytest.fixture
def writer():
    return FakeWriter()


def make_exchange(method="GET", *, headers=(), query="", path="/orders", matched=True, **values):
    head = RequestHead(
        method, path + query, path, query, 1, "api.test", Headers.of(headers), 0, keep_alive=True
    )
    exchange = Exchange(head, Client("192.0.2.7", 51000, "https", 8443, tls_version="TLSv1.3"), 1000.0)
    exchange.status = 200
    exchange.ended = 1000.0
    if matched:
        exchange.route, exchange.service = ROUTE, SERVICE
    for name, value in values.items():
        setattr(exchange, name, value)
    return exchange


@pytest.fixture
def exchange_of():
    return make_exchange
