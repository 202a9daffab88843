"""The dashboard's figures: differences, percentiles of sums, rings with gaps, and what is told of them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from proxyd.admin.dashboard.counts import CLASSES, Counts, Differences, quantile
from proxyd.admin.dashboard.observed import Observation, Process, Standing
from proxyd.admin.dashboard.overview import Tables, overview, series, series_of_route
from proxyd.admin.dashboard.rings import COLUMNS, SCALES, Moment, Ring
from proxyd.admin.dashboard.sampler import Sampler
from proxyd.telemetry.events import _output
from proxyd.telemetry.histogram import EDGES, FINE
from proxyd.telemetry.meter import RouteMeter
from proxyd.telemetry.source import ConfigState, DatabaseState
from proxyd.telemetry.tally import Tally


class Moved:
    """A clock that a test moves."""

    def __init__(self):
        self.at = 1_800_000_000.0
        self.set = 0.0  # seconds by which somebody has set the time of the day

    def time(self):
        return self.at + self.set

    def now(self):
        return self.at


class Gateway:
    """What a sampler looks at."""

    def __init__(self):
        self.meters = [RouteMeter("shop", "backend")]
        self.tallies = []
        self.cpu = 0.0
        self.lag = [0.0] * (len(EDGES) + 1)

    def serve(self, count, status=200, own=0.001, whole=0.1, meter=None):
        meter = meter or self.meters[0]
        meter.begin()
        for _ in range(count):
            codes = meter.requests.setdefault("GET", {})
            codes[status] = codes.get(status, 0) + 1
            meter.own.observe(own)
            meter.whole.observe(whole)

    async def observe(self):
        used = [meter for meter in self.meters if meter.used]
        process = Process("0", 7, "ready", 0.0, self.cpu, 1000, tuple(self.lag), 3)
        counts = {"open": 3, "answering": 2, "tunnels": 1, "limit": 100}
        return Observation(used, self.tallies, counts, [process], (0.02, 0.04), Standing, 5.0)


@pytest.fixture
def clock():
    return Moved()


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
async def sampler(gateway, clock):
    one = Sampler(gateway.observe, clock)
    await one.look()
    return one


async def second(sampler, clock, count=1):
    for _ in range(count):
        clock.at += 1
        await sampler.look()


def column(sampler, name, ring="5m"):
    told = series(sampler.rings[ring], sampler.at, (0.02, 0.04))
    return told["columns"][name]


@pytest.mark.parametrize(
    ("values", "share", "low", "high"),
    [
        ([0.0001] * 100, 0.99, 0.0, 0.00025),
        ([0.001] * 98 + [0.045] * 2, 0.99, 0.04, 0.05),
        ([0.001] * 98 + [0.045] * 2, 0.95, 0.0005, 0.001),
        ([100.0], 0.5, 60.0, 60.0),
    ],
)
def test_a_percentile_lies_in_the_bucket_that_holds_it(values, share, low, high):
    """Between the bucket's edges; beyond the last edge, at it."""
    meter = RouteMeter("r", "s")
    meter.begin()
    for value in values:
        meter.own.observe(value)
    counts = {place: count for place, count in enumerate(meter.own.counts) if count}
    assert low <= quantile(counts, share) <= high


def test_there_is_no_percentile_of_nothing():
    """It is not zero."""
    assert quantile({}, 0.5) is None


def test_percentiles_of_two_times_together_are_those_of_all_requests():
    """They are worked out of the sum, not out of each other; what is packed is the same."""
    quick, slow, whole = Counts(), Counts(), Counts()
    quick.classes[0], slow.classes[3] = 990, 10
    quick.own, slow.own = {2: 990}, {15: 10}
    whole.add_packed(quick.packed())
    whole.add_packed(slow.packed())
    assert (whole.classes, whole.own, whole.whole) == ([990, 0, 0, 10], {2: 990, 15: 10}, {})
    assert quantile(whole.own, 0.98) <= FINE[2]
    assert quantile(whole.own, 0.995) > FINE[14]


def test_a_meter_that_begins_anew_counts_from_nothing():
    """As when a route was gone for a while; one that has counted nothing more tells nothing."""
    gateway, differences = Gateway(), Differences()
    (meter,) = gateway.meters
    gateway.serve(5)
    gateway.serve(2, 429)
    counts, _ = differences.of(meter)
    assert dict(zip(CLASSES, counts.classes, strict=True)) == {
        "ok": 5,
        "limited": 2,
        "client": 0,
        "server": 0,
    }
    assert differences.of(meter) is None
    again = Gateway()
    again.serve(3, 503)
    again.meters[0].failures["reset", "upstream"] = 3
    counts, failures = differences.of(again.meters[0])
    assert (counts.requests, counts.classes[3], sum(counts.own.values()), failures) == (3, 3, 3, {"reset": 3})


async def test_each_second_has_its_rates_and_percentiles(sampler, clock, gateway):
    """And one without requests has rates of nothing, and no percentiles."""
    gateway.serve(40)
    gateway.serve(10, 502, own=0.03)
    await second(sampler, clock)
    await second(sampler, clock)
    assert column(sampler, "requests")[-2:] == [50.0, 0.0]
    assert column(sampler, "server_errors")[-2:] == [10.0, 0.0]
    p99 = column(sampler, "own_p99")
    assert 0.025 < p99[-2] <= 0.03
    assert p99[-1] is None
    assert column(sampler, "websockets")[-2:] == [1, 1]


async def test_what_was_not_looked_at_is_a_gap(sampler, clock):
    """Nothing is drawn over it; a look that took its time stands for the seconds that it took."""
    await second(sampler, clock)
    clock.at += 3
    await sampler.look()
    assert column(sampler, "requests")[-5:] == [None, 0.0, 0.0, 0.0, 0.0]
    clock.at += 60
    await sampler.look()
    found = column(sampler, "requests")
    assert found[-10:] == [0.0] * 10
    assert found[-59:-11] == [None] * 48


async def test_time_goes_on_where_nothing_is_looked_at(sampler, clock):
    """The end of what is shown is now, and not the last look."""
    await second(sampler, clock, 5)
    ring = sampler.rings["5m"]
    assert series(ring, clock.at + 2, (0, 0))["end"] == clock.at
    late = series(ring, clock.at + 100, (0, 0))
    assert late["end"] == clock.at + 100
    assert late["columns"]["requests"][-100:] == [None] * 100


async def test_coarse_rings_hold_the_sums_of_fine_ones(sampler, clock, gateway):
    """Ten seconds make one place, whenever in them the requests came."""
    for _ in range(3):
        gateway.serve(10)
        await second(sampler, clock, 10)
    assert column(sampler, "requests", "1h")[-3:] == [1.0, 1.0, 1.0]
    assert all(one is None for one in column(sampler, "requests", "24h"))
    await second(sampler, clock, 30)
    assert column(sampler, "requests", "24h")[-1] == 0.5


async def test_rings_do_not_grow(sampler, clock, gateway):
    """A ring has its places and its busiest routes, and no more."""
    gateway.meters = [RouteMeter(f"r{number}", "s") for number in range(60)]
    for number, meter in enumerate(gateway.meters):
        gateway.serve(number + 1, meter=meter)
    await second(sampler, clock)
    (kept,) = [one for one in sampler.rings["5m"].window(int(clock.at)) if one is not None]
    assert len(kept.routes) == SCALES["5m"].busiest
    assert {"r59", "r20"} <= kept.routes.keys()
    assert "r19" not in kept.routes
    assert kept.row[0] == sum(range(61))  # of all of them
    for name, rate in (("r20", 21.0), ("r19", None)):  # nobody knows of the latter, which is not nothing
        told = await series_of_route(sampler.rings["5m"], sampler.at, (0.02, 0.04), name)
        assert told["columns"]["requests"][-1] == rate
    await second(sampler, clock, 400)
    assert len(list(sampler.rings["5m"].window(int(clock.at)))) == 300


async def test_one_route_has_its_own_figures(sampler, clock, gateway):
    """Where it had none, that is a rate of nothing."""
    other = RouteMeter("other", "backend")
    gateway.meters.append(other)
    gateway.serve(7)
    gateway.serve(3, 404, meter=other)
    await second(sampler, clock)
    told = await series_of_route(sampler.rings["5m"], sampler.at, (0.02, 0.04), "other")
    assert told["columns"].keys() == set(COLUMNS[: COLUMNS.index("websockets")])
    assert (told["columns"]["requests"][-1], told["columns"]["client_errors"][-1]) == (3.0, 3.0)
    none = await series_of_route(sampler.rings["5m"], sampler.at, (0.02, 0.04), "no")
    assert none["columns"]["requests"][-2:] == [None, 0.0]


async def test_the_overview_has_the_busiest_first(sampler, clock, gateway):
    """Before the first ten seconds are over, too."""
    other = RouteMeter("other", "backend")
    gateway.meters.append(other)
    tally = Tally("shop", "backend", "ann", gateway.meters[0])
    gateway.tallies.append(tally)
    gateway.serve(2)
    gateway.serve(30, 429, meter=other)
    tally.codes.update({200: 4, -401: 1})
    gateway.cpu += 0.25
    gateway.lag[3:] = [4.0] * (len(gateway.lag) - 3)
    await second(sampler, clock)
    state = ConfigState(SimpleNamespace(time=clock.time))
    told = await overview(sampler, Tables(sampler), "5m", state)
    assert [(one["route"], one["requests"]) for one in told["routes"]] == [("other", 30), ("shop", 2)]
    assert told["consumers"] == [{"consumer": "ann", "requests": 5, "rate": 5.0, "failed": 1}]
    assert (told["limited"], told["requests"], told["now"]["requests"]) == (30, 32, 32.0)
    (worker,) = told["workers"]
    assert (worker["cpu"], worker["lag"], worker["memory"]) == (0.25, EDGES[3], 1000)


async def test_a_worker_that_has_told_no_lag_yet_has_none(clock, gateway):
    """Its figures are there without it, from the first look on."""
    gateway.lag = []
    sampler = Sampler(gateway.observe, clock)
    await sampler.look()
    await second(sampler, clock)
    state = ConfigState(SimpleNamespace(time=clock.time))
    (worker,) = (await overview(sampler, Tables(sampler), "5m", state))["workers"]
    assert (worker["lag"], worker["memory"]) == (None, 1000)


async def test_a_database_that_is_away_is_among_the_stores(sampler, clock):
    """With the reason, and since when."""
    state = ConfigState(SimpleNamespace(time=clock.time))
    away = DatabaseState(reachable=False, since=5.0, error="no route to host", revision=7, applied=6)
    (store,) = (await overview(sampler, Tables(sampler), "5m", state, away))["stores"]
    assert (store["kind"], store["up"], store["since"], store["error"]) == (
        "database",
        False,
        5.0,
        "no route to host",
    )


async def test_tables_are_added_up_once_for_each_place(sampler, clock, gateway):
    """What is not over yet comes to what was added up before."""
    tables = Tables(sampler)
    gateway.serve(10)
    await second(sampler, clock, 10)
    first = await tables.over("5m")
    gateway.serve(1)
    await second(sampler, clock)
    assert (
        first.total.requests,
        (await tables.over("5m")).total.requests,
        (await tables.over("24h")).total.requests,
    ) == (
        10,
        11,
        11,
    )


async def test_a_look_that_fails_is_told_once_and_made_again(clock, monkeypatch):
    """Whoever wants to see the figures sees a gap."""
    failing, lines, done = [RuntimeError("no"), RuntimeError("no")], [], asyncio.Event()
    monkeypatch.setattr(_output, "write", lines.append)

    async def observe():
        if failing:
            raise failing.pop()
        done.set()
        return await Gateway().observe()

    running = Sampler(observe, clock, period=0.01).running(None)
    await anext(running)
    async with asyncio.timeout(10):
        await done.wait()
    with pytest.raises(StopAsyncIteration):
        await anext(running)
    assert str(lines).count("figures of the dashboard are missing") == 1


def test_a_moment_keeps_the_highest_of_what_rises_and_falls():
    """A peak between two places is seen."""
    one, two = Moment(1.0, websockets=5, connections=9), Moment(1.0, websockets=2, connections=20)
    one.add(two)
    assert (one.seconds, one.websockets, one.connections) == (2.0, 5, 20)
    ring = Ring(SCALES["5m"])
    ring.take(100, one)
    assert repr(ring) == "<Ring 1 s x 300 last=100>"


async def test_a_clock_that_is_set_back_makes_no_peak(sampler, gateway, clock):
    """A rate is by the time that has gone by, whatever the time of the day is said to be."""
    gateway.serve(10)
    clock.set = -30.0
    await second(sampler, clock)
    gateway.serve(10)
    await second(sampler, clock)
    gateway.serve(10)
    clock.set = 3600.0
    await second(sampler, clock)
    rates = [one for one in series(sampler.rings["5m"], sampler.at, (0, 0))["columns"]["requests"] if one]
    assert set(rates) == {10.0}


async def test_looks_that_come_late_leave_no_gap(sampler, gateway, clock):
    """A look after one and a half seconds stands for both of them."""
    for late in (1.0, 1.4, 1.3, 1.45, 1.0, 2.4):
        gateway.serve(10)
        clock.at += late
        await sampler.look()
    rates = series(sampler.rings["5m"], sampler.at, (0, 0))["columns"]["requests"]
    known = [one is not None for one in rates]
    assert all(known[known.index(True) :])
