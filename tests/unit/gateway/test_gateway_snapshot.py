"""What is decided when a configuration is compiled: who takes part, with which phases, and how it ends."""

from __future__ import annotations

from typing import ClassVar

import pytest
from conversation import GET, NO_ROUTE, service

from proxyd.clock import Clock
from proxyd.gateway.route import is_https_only
from proxyd.gateway.snapshot import compile_snapshot, instantiate
from proxyd.model.entities import Configuration, Route, Service
from proxyd.model.entities import Plugin as Entry
from proxyd.plugin import Config, Plugin, Scope
from proxyd.telemetry.record import Telemetry


class NoConfig(Config):
    """Nothing to set."""


class Noting(Plugin[NoConfig]):
    """Notes its life."""

    name = "noting"
    priority = 10
    life: ClassVar[list] = []
    fails: ClassVar = ()

    def access(self, exchange):
        return None

    async def start(self):
        self._note("start")

    async def stop(self):
        self._note("stop")

    def _note(self, what):
        self.life.append(f"{what} {self.instance_id}")
        if f"{what} {self.instance_id}" in self.fails:
            raise OSError(what)


class Balancers:
    """Stand in for those of a configuration: each service's is its own name."""

    def __init__(self):
        self.life = []

    def for_service(self, service):
        return service.name

    async def start(self):
        self.life.append("start")

    async def stop(self):
        self.life.append("stop")


def by_id(*entities):
    return {entity.id: entity for entity in entities}


def compiled(*plugins, services=(), routes=(), balancers=None):
    configuration = Configuration(services=by_id(*services), routes=by_id(*routes))
    telemetry = Telemetry(Clock())
    return compile_snapshot(
        configuration, list(plugins), balancers or Balancers(), telemetry, generation=7, digest="d"
    )


def plugin(identity="p", **scope):
    return Noting(NoConfig(), identity, Scope(**scope))


SHOP, OFF = Service(id="s1", name="shop", host="h"), Service(id="s2", name="off", host="h", enabled=False)


# --- plugins -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "takes_part"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"protocols": ("http",)}, True),
        ({"protocols": ("https",)}, True),
        ({"protocols": ("grpc",)}, True),
        ({"protocols": ("tcp", "tls", "tls_passthrough", "udp")}, False),
        ({"protocols": ("udp", "https")}, True),
        ({"name": "unknown"}, False),
    ],
)
def test_which_plugins_take_part(entry, takes_part):
    """Those that are known, enabled, and for HTTP; http and https are not told apart, as in Kong."""
    one = Entry(**{"id": "p", "name": "noting", "route": "r"} | entry)
    made = instantiate(Configuration(plugins=by_id(one)), {"p": NoConfig()}, {"noting": Noting})
    assert [(one.instance_id, str(one.scope)) for one in made] == ([("p", "route")] if takes_part else [])


async def test_a_lock_for_https_keeps_plain_requests_out_too(talk):
    """A route that answers http as well is not open there."""
    lock = {"name": "request-termination", "protocols": ["https"], "config": {"status_code": 403, "body": ""}}
    client = await talk.start(service(plugins=[lock]))
    client.transport.incoming(client.protocol.data_received, GET)
    await talk.settle()
    assert client.events.pop()[1].startswith(b"HTTP/1.1 403 ")
    assert talk.dialled == []


def test_routes_share_what_is_the_same():
    """Routes without plugins of their own have their service's phases, which are bound once."""
    routes = [Route(id=name, service="s1", paths=("/",)) for name in ("a", "b", "c")]
    shop, own, everywhere = plugin("1", service="s1"), plugin("2", route="c"), plugin("3")
    a, b, c = compiled(shop, own, everywhere, services=[SHOP], routes=routes).routes
    assert a.pipeline is b.pipeline
    assert (a.pipeline.request, c.pipeline.request) == ((shop.access,), (own.access,))


def test_plugins_of_one_service_are_not_anothers():
    """Nor those of one route."""
    other = Service(id="s3", name="other", host="h")
    routes = [
        Route(id="a", service="s1", paths=("/",)),
        Route(id="b", service="s3", paths=("/",)),
    ]
    snapshot = compiled(
        plugin("1", service="s1"), plugin("2", route="z"), services=[SHOP, other], routes=routes
    )
    assert [len(route.pipeline.request) for route in snapshot.routes] == [1, 0]


# --- routes and services -------------------------------------------------------------------------------------


def test_a_service_is_ready_to_be_called():
    """Kong's milliseconds are seconds from here on."""
    one = Service(
        id="s1", name="shop", host="h", connect_timeout=1500, read_timeout=2500, write_timeout=1, retries=3
    )
    (route,) = compiled(services=[one], routes=[Route(id="a", service="s1", paths=("/",))]).routes
    made = route.service
    assert (made.connect_timeout, made.read_timeout, made.write_timeout) == (1.5, 2.5, 0.001)
    assert (made.balancer, made.retries, route.entity) == ("shop", 3, one)


def test_routes_of_a_disabled_service_are_not_there():
    """As in Kong: they match nothing, so that the request may match another."""
    routes = [Route(id=name, service=name, paths=("/",)) for name in ("s1", "s2")]
    snapshot = compiled(services=[SHOP, OFF], routes=routes)
    assert [route.route.id for route in snapshot.routes] == ["s1"]
    assert repr(snapshot) == "<Snapshot 7 routes=1 plugins=0>"


async def test_a_disabled_service_answers_nothing(talk):
    """404."""
    client = await talk.start(service(enabled=False))
    await talk(client.sends(GET), client.receives(NO_ROUTE))


def test_a_route_without_a_service_answers_behind_its_plugins():
    """503 is the last of its phases; plugins may answer before it."""
    own = plugin(route="a")
    (route,) = compiled(own, routes=[Route(id="a", paths=("/",))]).routes
    *before, last = route.pipeline.request
    assert (before, route.entity) == ([own.access], None)
    assert (last(None).status, last(None).message) == (503, "no Service found with those values")


@pytest.mark.parametrize(
    ("protocols", "only"),
    [
        (("http", "https"), False),
        (("http",), False),
        (("https",), True),
        (("wss",), True),
        (("https", "ws"), False),
        (("grpcs",), True),
        (("grpc",), False),
    ],
)
def test_which_routes_are_for_tls_alone(protocols, only):
    """Those that name no protocol without it."""
    assert is_https_only(Route(id="a", protocols=protocols, paths=("/",))) is only


# --- life ----------------------------------------------------------------------------------------------------


@pytest.fixture
def life(monkeypatch):
    events = []
    monkeypatch.setattr(Noting, "life", events)
    return events


async def test_what_was_started_is_stopped(life):
    """The other way round."""
    balancers = Balancers()
    snapshot = compiled(plugin("1"), plugin("2"), balancers=balancers)
    await snapshot.start()
    await snapshot.stop()
    assert life == ["start 1", "start 2", "stop 2", "stop 1"]
    assert balancers.life == ["start", "stop"]


async def test_a_plugin_that_cannot_stop_holds_up_nobody(life, monkeypatch):
    """The others are stopped, and what it raised is told."""
    monkeypatch.setattr(Noting, "fails", {"stop 2"})
    balancers = Balancers()
    with pytest.raises(OSError, match="stop"):
        await compiled(plugin("1"), plugin("2"), plugin("3"), balancers=balancers).stop()
    assert (life, balancers.life) == (["stop 3", "stop 2", "stop 1"], ["stop"])


async def test_a_half_started_generation_can_be_stopped(life, monkeypatch):
    """A plugin that cannot start leaves nothing running."""
    monkeypatch.setattr(Noting, "fails", {"start 1"})
    balancers = Balancers()
    snapshot = compiled(plugin("1"), plugin("2"), balancers=balancers)
    with pytest.raises(OSError, match="start"):
        await snapshot.start()
    await snapshot.stop()
    assert (life, balancers.life) == (["start 1", "stop 2", "stop 1"], ["start", "stop"])
