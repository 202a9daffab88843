"""prometheus: what an instance counts, and for whom."""

from __future__ import annotations

import pytest
from plugin_case import exchange, kit, make
from pydantic import ValidationError

from proxyd.http1.headers import Headers
from proxyd.http1.message import ResponseHead
from proxyd.model.entities import Consumer, Route, Service
from proxyd.plugins.prometheus import Prometheus
from proxyd.telemetry.meter import OTHER
from proxyd.telemetry.tally import Measures, Tallies

ROUTE = Route(id="r1", name="orders")
SERVICE = Service(id="s1", name="shop", host="shop.internal")
ANN = Consumer(id="c1", username="ann")
BOB = Consumer(id="c2", custom_id="bob")


def over(status=200, *, upstream=None, consumer=None, route=ROUTE, service=SERVICE):
    """Make an exchange that is over; ``upstream`` is the status that the upstream answered with."""
    made = exchange()
    made.route, made.service, made.consumer = route, service, consumer
    made.status = status
    if upstream is not None:
        made.response = ResponseHead(upstream, b"", 1, Headers(), 0, keep_alive=True)
    made.head_received, made.bytes_received, made.head_sent, made.bytes_sent = 100, 7, 200, 11
    return made


def counted(lent):
    return {
        (tally.service, tally.route, tally.consumer): (tally.codes, tally.bytes_received, tally.bytes_sent)
        for tally in lent.tallies.all()
    }


# --- settings ------------------------------------------------------------------------------------------------


def test_nothing_is_measured_unless_asked_for():
    """All of Kong's settings are off at first."""
    config = Prometheus.Config()
    assert not any(config.model_dump().values())
    assert set(config.model_dump()) == {
        "per_consumer",
        "status_code_metrics",
        "latency_metrics",
        "bandwidth_metrics",
        "upstream_health_metrics",
        "ai_metrics",
        "wasm_metrics",
    }


@pytest.mark.parametrize("config", [{"per_route": True}, {"latency_metrics": "yes please"}])
def test_settings_that_mean_nothing_are_refused(config):
    """What Kong does not know is an error, and so is what is no boolean."""
    with pytest.raises(ValidationError):
        Prometheus.Config(**config)


# --- log -----------------------------------------------------------------------------------------------------


def test_answers_are_counted_by_status_and_by_who_gave_them():
    """A status of the upstream's is positive; the gateway's own is negative, though the upstream had answered."""
    lent = kit()
    plugin = make(Prometheus, lent, status_code_metrics=True)
    for one in (over(200, upstream=200), over(200, upstream=200), over(401), over(500, upstream=200)):
        plugin.log(one)
    assert counted(lent) == {("shop", "orders", ""): ({200: 2, -401: 1, -500: 1}, 428, 844)}


def test_consumers_are_told_apart_only_if_asked():
    """per_consumer gives each a tally, under username or custom id; unknown callers have the empty one."""
    lent = kit()
    plugin = make(Prometheus, lent, status_code_metrics=True, per_consumer=True)
    for who in (ANN, BOB, None, ANN):
        plugin.log(over(200, upstream=200, consumer=who))
    assert {key[2]: value[0] for key, value in counted(lent).items()} == {
        "ann": {200: 2},
        "bob": {200: 1},
        "": {200: 1},
    }
    together = kit()
    plugin = make(Prometheus, together, status_code_metrics=True)
    plugin.log(over(200, upstream=200, consumer=ANN))
    assert list(counted(together)) == [("shop", "orders", "")]


def test_names_are_kongs():
    """A service without a name goes by its host, a route by its id; a route without a service has an empty one."""
    lent = kit()
    plugin = make(Prometheus, lent, bandwidth_metrics=True)
    plugin.log(over(route=Route(id="r2"), service=Service(id="s2", host="b.internal")))
    plugin.log(over(route=Route(id="r3"), service=None))
    assert [key[:2] for key in counted(lent)] == [("b.internal", "r2"), ("", "r3")]


@pytest.mark.parametrize("config", [{}, {"upstream_health_metrics": True}, {"per_consumer": True}])
def test_nothing_is_counted_that_nobody_is_told(config):
    """Without one of the three kinds of numbers per route there is no tally."""
    lent = kit()
    make(Prometheus, lent, **config).log(over())
    assert counted(lent) == {}


def test_a_tally_goes_on_behind_a_reload():
    """The next generation's instance counts where the last one did, and says what is told of it."""
    lent = kit()
    make(Prometheus, lent, status_code_metrics=True).log(over(200, upstream=200))
    make(Prometheus, lent, bandwidth_metrics=True).log(over(200, upstream=200))
    (tally,) = lent.tallies.all()
    assert tally.codes == {200: 2}
    assert tally.measures == Measures(bandwidth=True)
    assert repr(tally) == "<Tally route='orders' consumer='' requests=2>"


async def test_what_is_not_per_route_is_told_while_an_instance_runs():
    """Start and stop pair up; stop works after a half start, and of two instances each counts."""
    lent = kit()
    one, two = make(Prometheus, lent), make(Prometheus, lent, upstream_health_metrics=True)
    await one.start()
    await two.start()
    assert lent.tallies.running == [Measures(), Measures(health=True)]
    await two.stop()
    await two.stop()
    assert lent.tallies.running == [Measures()]
    await one.stop()
    assert repr(lent.tallies) == "<Tallies 0 running=0>"


# --- bounds --------------------------------------------------------------------------------------------------


def test_consumers_beyond_the_limit_share_one_tally():
    """A route never has more series than the limit allows, and how many requests that concerns is counted."""
    tallies = Tallies(limit=2)
    for name in ("a", "b", "c", "d", "a"):
        tallies.of(ROUTE, SERVICE, name).codes[200] = 1
    assert [tally.consumer for tally in tallies.all()] == ["a", "b", OTHER]
    assert tallies.lost == 2
    assert tallies.of(ROUTE, SERVICE, "").consumer == ""


def test_what_is_gone_is_forgotten_and_makes_room():
    """Tallies of routes and consumers that a reload does not find again go."""
    tallies = Tallies(limit=2)
    kept = tallies.of(ROUTE, SERVICE, "a")
    tallies.of(ROUTE, SERVICE, "b")
    tallies.of(Route(id="r2", name="gone"), SERVICE, "")
    tallies.retain([kept.meter], {"a", "new"})
    assert tallies.all() == [kept]
    assert tallies.of(ROUTE, SERVICE, "new").consumer == "new"
    assert tallies.lost == 0
