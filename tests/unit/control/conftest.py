"""A gateway's telemetry and status, as the test says they are."""

from __future__ import annotations

import os

import pytest

from proxyd.clock import Clock
from proxyd.errors import GatewayError, Kind
from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.entities import Route, Service
from proxyd.telemetry.admin_families import AdminCounts
from proxyd.telemetry.fleet import Fleet
from proxyd.telemetry.histogram import Histogram
from proxyd.telemetry.journal import Journal
from proxyd.telemetry.record import Telemetry
from proxyd.telemetry.report import Reporter
from proxyd.telemetry.source import (
    CertificateState,
    ConfigState,
    ConnectionCounts,
    KeySetState,
    LimitCounts,
    OverloadState,
    ProtectionState,
    ServiceLoad,
    TargetState,
    TlsState,
)
from proxyd.telemetry.tally import Measures


class FixedClock(Clock):
    now = staticmethod(lambda: 1000.0)
    time = staticmethod(lambda: 1_700_000_000.5)


class FakeSource:
    """What the runtime would say."""

    def __init__(self):
        self.config = ConfigState(FixedClock())
        self.tls_state = TlsState(
            (CertificateState("server", "ssl_cert[0]", "api.test", 1_800_000_000.0),),
            2,
            1,
            {"no shared cipher": 3},
        )
        self.admin_counts = AdminCounts()
        self.database = None
        self.reason = ""
        self.overload_state = OverloadState(
            shedding=True,
            delay=0.03,
            queue=Histogram(),
            shed={("gateway", "anonymous"): 7, ("backend", "anonymous"): 2, ("backend", "sheddable"): 5},
            services=[ServiceLoad("shop", 40, 39)],
        )
        self.counts = ConnectionCounts(accepted=9, refused=1, open=6, answering=4, tunnels=1, limit=64)
        self.target_states = [
            TargetState("shop", "a:80", "10.0.0.1:80", "HEALTHY", in_flight=2, connections=3),
            TargetState("shop", "b:80", "10.0.0.2:80", "UNHEALTHY", ejected=True),
            TargetState("", "c:80", "10.0.0.3:80", "HEALTHCHECKS_OFF", connections=1),
        ]

    def connections(self):
        return self.counts

    def targets(self):
        return self.target_states

    def protections(self):
        return [ProtectionState("shop", {("b:80", "consecutive_5xx"): 3}, 2, {"open": 7})]

    def key_sets(self):
        return [KeySetState("https://id.example.com/jwks", 2, 3, 1, 1_700_000_000.0)]

    def limits(self):
        return LimitCounts(strangers=7, fallbacks={"file": 2, "redis": 0}, redis={"cache:6379/0": False})

    def overload(self):
        return self.overload_state

    def not_ready(self):
        return self.reason


@pytest.fixture
def source():
    return FakeSource()


def finish(telemetry, meter, method="GET", *, status=200, own=0.001, **values):
    """Record an exchange whose upstream took 10 ms and the gateway ``own`` seconds."""
    head = RequestHead(method, "/", "/", "", 1, "api.test", Headers(), 0, keep_alive=True)
    exchange = Exchange(head, Client("192.0.2.7", 1, "http", 8000), 1000.0)
    exchange.status = status
    exchange.sent = 1000.0 + own
    exchange.response_ended = exchange.ended = exchange.sent + 0.01
    for name, value in values.items():
        setattr(exchange, name, value)
    telemetry.finished(exchange, meter)


@pytest.fixture
def finished():
    return finish


@pytest.fixture
def telemetry():
    return Telemetry(FixedClock())


@pytest.fixture
def busy(telemetry, source):
    """Telemetry in which every family has a sample."""
    source.config.loaded("ab" * 32)
    meter = telemetry.meters.of("orders", "shop")
    finish(telemetry, meter, own=0.03)
    finish(telemetry, meter, "POST", own=0.0, bytes_received=7, bytes_sent=11)
    refused = GatewayError(Kind.CONNECT_REFUSED)
    finish(telemetry, meter, status=502, tries=2, error=refused, dialled=1000.0, connected=1000.002)
    finish(telemetry, None, "BREW", status=404, sent=0.0, response_ended=0.0, ended=1000.0)
    telemetry.loop_lag.observe(0.001)
    telemetry.tallies.running.append(Measures(health=True))
    tally = telemetry.tallies.of(Route(id="r", name="orders"), Service(id="s", name="shop", host="h"), "")
    tally.measures = Measures(status=True, latency=True, bandwidth=True)
    tally.codes = {200: 3, -404: 1}
    tally.bytes_received, tally.bytes_sent = 700, 1100
    telemetry.deliveries.of("opentelemetry").sent = 2
    return telemetry


class FakeWorker:
    """What counts in a worker, and the file that it has inherited."""

    def __init__(self, fleet, slot, pid):
        fd = fleet.open()
        self.pid = pid
        self.source = FakeSource()
        self.source.config.loaded("ab" * 32)
        self.journal = Journal(os.dup(fd))
        self.telemetry = Telemetry(FixedClock(), journal=self.journal)
        self.reporter = Reporter(self.journal, self.telemetry, self.source)
        fleet.begun(slot, pid, fd)
        self.reporter.write_now()

    def serve(self, count=1, route="orders", **values):
        """Finish some requests of a route."""
        for _ in range(count):
            finish(self.telemetry, self.telemetry.meters.of(route, "shop"), **values)


@pytest.fixture
def fleet():
    one = Fleet()
    yield one
    one.close()


@pytest.fixture
def worker(fleet):
    """Start a worker in a slot. It ends as one does that is killed: without a word."""
    made = []

    def make(slot, pid):
        made.append(FakeWorker(fleet, slot, pid))
        return made[-1]

    yield make
    for one in made:
        one.journal.close()
