"""How many requests may wait for a service, against a simulated backend of 50 servers that take 20 ms: 2,500 a second."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Permit, Simulation

from proxyd.overload.limit import ConcurrencyLimit
from proxyd.overload.line import Line
from proxyd.overload.ranks import ANONYMOUS, CRITICAL, KNOWN, SHEDDABLE

CAPACITY = 2500
SERVICES = {
    "the same": lambda _random: 0.02,
    "spread": lambda random: random.expovariate(50),
    "quick and slow": lambda random: 0.005 if random.random() < 0.8 else 0.08,
}


def limit_of(floor=20, ceiling=1000, target=0.02):
    return ConcurrencyLimit("orders", floor, ceiling, Line(target))


@pytest.mark.parametrize("floor", [30, 1])
def test_there_is_room_for_who_comes_first_at_the_ceiling_too(floor):
    """A crowd of one rank leaves some for the ranks above, and all of them together stay below the ceiling."""
    limit = limit_of(floor, 30)
    counts = []
    for rank in (SHEDDABLE, ANONYMOUS, KNOWN, CRITICAL):
        while limit.admit(Permit(), rank, 0.0):
            pass
        counts.append(limit.in_flight)
    assert counts == [14, 20, 25, 30]


@pytest.mark.parametrize("service", SERVICES)
def test_three_times_the_capacity(service):
    """Nine tenths of the capacity go on being served in good time, where without a limit everything comes too late."""
    rates = [CAPACITY // 2, *[3 * CAPACITY] * 7]
    limited = Simulation(limit_of(), rates, service=SERVICES[service]).run()
    assert limited.rate(limited.good, 3, 8) > 0.9 * CAPACITY
    assert limited.p99(since=3) < 0.25
    alone = Simulation(None, rates, service=SERVICES[service]).run()
    assert alone.rate(alone.good, 5, 8) < 0.1 * CAPACITY


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_below_capacity_nothing_is_refused(load, service):
    """However unevenly requests come and take."""
    simulation = Simulation(limit_of(), [int(load * CAPACITY)] * 8, service=SERVICES[service]).run()
    assert not simulation.refused


def test_it_recovers():
    """Two seconds after the crowd has gone nothing is refused any more."""
    rates = [CAPACITY // 2, *[3 * CAPACITY] * 4, *[CAPACITY // 2] * 5]
    simulation = Simulation(limit_of(), rates).run()
    assert simulation.rate(simulation.refused, 2, 5) > CAPACITY
    assert simulation.rate(simulation.refused, 7, 10) == 0.0


def test_a_backend_that_is_slow_from_now_on_is_believed():
    """Ten times slower without a crowd is no overload for long: the limit finds back to what is needed."""
    taken = [0.02]
    simulation = Simulation(limit_of(), [500] * 25, servers=1000, service=lambda _random: taken[0])
    push = simulation.push

    def slower(when, what, exchange):
        taken[0] = 0.02 if when < 3 else 0.2
        push(when, what, exchange)

    simulation.push = slower
    simulation.run()
    assert simulation.rate(simulation.refused, 17, 25) == 0.0


def test_a_crowd_that_stays_does_not_become_the_measure():
    """After minutes of overload latency is what it was at its beginning, for it is measured anew without a crowd."""
    simulation = Simulation(limit_of(floor=10), [100, *[500] * 149], servers=5).run()
    assert simulation.rate(simulation.good, 90, 150) > 0.9 * 250
    assert simulation.p99(since=90) < 1.5 * simulation.p99(since=5)


def test_who_is_refused_first():
    """Of four ranks at four times the capacity, the higher hardly feel it."""
    ranks = (CRITICAL, KNOWN, ANONYMOUS, ANONYMOUS, ANONYMOUS, ANONYMOUS, SHEDDABLE, SHEDDABLE)
    simulation = Simulation(limit_of(), [500, *[4 * CAPACITY] * 6], ranks=ranks).run()
    share = {rank: simulation.refused_of[rank] / simulation.offered_of[rank] for rank in ranks}
    assert share[CRITICAL] < 0.1
    assert share[KNOWN] < 0.2
    assert 0.6 < share[ANONYMOUS] < share[SHEDDABLE]
    assert share[SHEDDABLE] > 0.9


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0.0, 5.0), st.sampled_from([200, 404, 502]), st.booleans()),
        max_size=400,
    ),
    st.integers(1, 30),
    st.integers(0, 300),
)
def test_it_stays_in_bounds_and_loses_nothing(steps, floor, more):
    """Whatever happens, the limit lies between its bounds, and every place that is taken is given back once."""
    limit = limit_of(floor, floor + more)
    waiting = []
    now = 100.0
    for rank, seconds, status, answered in steps:
        exchange = Permit()
        if limit.admit(exchange, rank, now):
            assert limit.in_flight <= floor + more
            waiting.append(exchange)
        now += seconds / 10
        if waiting and seconds > 1.0:
            leaving = waiting.pop(0)
            if answered:
                leaving.permit.answered(leaving, status, now)
            else:
                leaving.permit.left(leaving, now)
            assert leaving.permit is None
        assert limit.floor <= limit.limit <= limit.ceiling
        assert limit.in_flight == len(waiting)
    for leaving in waiting:
        leaving.permit.left(leaving, now)
    assert limit.in_flight == 0


def test_errors_of_a_backend_are_not_its_speed():
    """A backend that fails in no time is not taken for one that has become quick."""
    limit = limit_of()
    for number in range(50):
        exchange = Permit()
        assert limit.admit(exchange, ANONYMOUS, number / 10)
        limit.answered(exchange, 503, number / 10 + 0.0001)
    assert limit.target == math.inf


def test_its_own_delay_is_not_the_backends():
    """While the gateway itself is late, answers that are read late do not shrink the limit."""
    limit = limit_of()

    def answers(seconds, first):
        for number in range(200):
            exchanges = [Permit() for _ in range(50)]
            now = first + number / 10
            for exchange in exchanges:
                limit.admit(exchange, ANONYMOUS, now)
            for exchange in exchanges:
                if exchange.permit is not None:
                    limit.answered(exchange, 200, now + seconds)

    answers(0.001, 0.0)
    limit._line.delay = 0.05
    answers(0.05, 20.0)
    assert limit.limit == 1000
    limit._line.delay = 0.0
    answers(0.05, 41.0)
    assert limit.limit < 500
