from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

from proxyd.clock import Clock
from proxyd.exchange import Client, Exchange
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead
from proxyd.model.entities import CACertificate, Certificate, Configuration, Service, Target, Upstream
from proxyd.upstream.addresses import is_address
from proxyd.upstream.connector import Endpoint
from proxyd.upstream.dnsclient import Found, NameNotFoundError, Record
from proxyd.upstream.factory import build_balancers
from proxyd.upstream.health import Health, HealthKey
from proxyd.upstream.names import Resolver
from proxyd.upstream.peer import Peer, PeerKey
from proxyd.upstream.registry import Registry


class FakeClock(Clock):
    def __init__(self):
        self.value = 1000.0
        self.now = lambda: self.value
        self.time = lambda: self.value

    def advance(self, seconds):
        self.value += seconds


class FakePool:
    """A pool that only knows whether it was closed."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.closed = False

    def close(self):
        self.closed = True


class FakeLookup:
    """Answers from a dict of host to addresses, Records or an exception, and notes what it was asked."""

    def __init__(self, ttl=60.0):
        self.answers = {}
        self.ttl = ttl
        self.asked = []

    def known(self, host):
        return (Record(host),) if is_address(host) else ()

    async def lookup(self, host):
        self.asked.append(host)
        answer = self.answers.get(host, NameNotFoundError(f"{host}: no such name"))
        if isinstance(answer, Exception):
            raise answer
        return Found(tuple(Record(a) if isinstance(a, str) else a for a in answer), self.ttl)


class FakeSleep:
    """Sleeps until it is told to wake; notes for how long each sleeper meant to."""

    def __init__(self):
        self.asked = []
        self._sleepers = []

    async def __call__(self, seconds):
        self.asked.append(seconds)
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append(sleeper)
        await sleeper

    async def wake(self):
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            if not sleeper.done():
                sleeper.set_result(None)
        await settle()


async def settle():
    """Let every task that can run go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


class World:
    """Builds balancers over fakes; each ``load`` is a reload."""

    def __init__(self):
        self.clock = FakeClock()
        self.lookup = FakeLookup()
        self.sleep = FakeSleep()
        self.resolver = Resolver(self.lookup, self.clock, sleep=self.sleep, rng=random.Random(1))
        self.registry = Registry(FakePool)
        self.settings = SimpleNamespace(tls_verify=False, trusted_certificate="system")
        self.current = None

    def build(self, *entities):
        configuration = Configuration()
        tables = {
            Service: configuration.services,
            Upstream: configuration.upstreams,
            Target: configuration.targets,
            Certificate: configuration.certificates,
            CACertificate: configuration.ca_certificates,
        }
        for entity in entities:
            tables[type(entity)][entity.id] = entity
        return build_balancers(configuration, self.settings, self.registry, self.resolver, self.clock)

    async def load(self, *entities):
        new = self.build(*entities)
        await new.start()
        old, self.current = self.current, new
        if old is not None:
            await old.stop()
        return new

    async def close(self):
        if self.current is not None:
            await self.current.stop()


def make_exchange(path="/", query="", headers=(), client="192.0.2.9", now=0.0):
    section = Headers.of(headers)
    head = RequestHead("GET", path + query, path, query, 1, "example.com", section, 0, True)
    return Exchange(head, Client(client, 50000, "http", 8000), now)


def make_peer(address="10.0.0.1", port=80, group=""):
    endpoint = Endpoint(address, port)
    label = f"{address}:{port}"
    key = PeerKey(group, label, label.encode(), endpoint)
    return Peer(key, FakePool(endpoint), Health(HealthKey(group, label, label), None))


def make_service(host, port=80, **fields):
    return Service(id=fields.pop("id", f"service-{host}-{port}"), host=host, port=port, **fields)


def make_upstream(name="api", **fields):
    return Upstream(id=f"upstream-{name}", name=name, **fields)


def make_target(target, weight=100, upstream="api"):
    return Target(
        id=f"target-{upstream}-{target}", target=target, weight=weight, upstream=f"upstream-{upstream}"
    )
