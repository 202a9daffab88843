"""The line before the event loop, and a simulated loop that works it off in batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.overload.line import CALM, PERIOD, Line
from proxyd.overload.ranks import ANONYMOUS, CRITICAL, KNOWN, SHEDDABLE

SERVED, REFUSED = 100e-6, 10e-6  # seconds of the loop that a request takes
CLIENTS = 20_000  # that wait for an answer at most


class Loop:
    """A loop to which ``load`` times what it can do comes, of the given ranks in turn."""

    def __init__(self, line):
        self.line = line
        self.now = 0.0
        self.due = PERIOD
        self.longest = 0.0
        self.served = {}
        self.refused = {}
        self.batch = PERIOD
        self.waiting = 0.0

    def run(self, seconds, load, ranks=(ANONYMOUS,)):
        self.longest, self.served, self.refused = 0.0, {}, {}
        until = self.now + seconds
        while self.now < until:
            began = self.now
            if began >= self.due:
                self.line.look(began - self.due, began, began)
                self.due = began + PERIOD
            self.waiting = min(self.waiting + self.batch * load / SERVED, CLIENTS)
            for number in range(int(self.waiting)):
                self.take(ranks[number % len(ranks)])
            self.waiting -= int(self.waiting)
            self.now = max(self.now, began + 0.0005)  # it sleeps for a moment where there is nothing to do
            self.batch = self.now - began
            self.longest = max(self.longest, self.batch)
        return self

    def take(self, rank):
        line = self.line
        worked = self.now - line.worked
        counts = self.refused if line.standing and worked > line.allowed[rank] else self.served
        counts[rank] = counts.get(rank, 0) + 1
        line.refused[rank] += counts is self.refused
        self.now += SERVED if counts is self.served else REFUSED


@pytest.mark.parametrize("load", [0.1, 0.5, 0.95])
def test_below_capacity_nothing_is_refused(load):
    """A loop that can do what comes has no line."""
    assert not Loop(Line(0.02)).run(5, load).refused


def test_three_times_the_capacity():
    """Most of the loop's time goes to what is served, and nothing waits long; then nothing is refused any more."""
    loop = Loop(Line(0.02))
    loop.run(1, 0.5)
    loop.run(2, 3)
    loop.run(3, 3)
    assert sum(loop.served.values()) * SERVED > 0.7 * 3
    assert loop.longest < 0.1
    loop.run(1, 0.5)
    loop.run(3, 0.5)
    assert not loop.refused
    assert repr(loop.line) == "<Line moving delay=0.0000>"


def test_without_it_they_all_wait():
    """The same crowd makes every batch as long as all that wait for an answer take."""
    loop = Loop(Line(10.0)).run(5, 3)
    assert loop.longest == pytest.approx(CLIENTS * SERVED, rel=0.01)


def test_who_is_refused_first():
    """In a crowd that is mostly anonymous, who is known or critical is served nearly always."""
    ranks = (SHEDDABLE, SHEDDABLE, ANONYMOUS, ANONYMOUS, ANONYMOUS, ANONYMOUS, ANONYMOUS, KNOWN, CRITICAL)
    loop = Loop(Line(0.02))
    loop.run(3, 3, ranks)
    loop.run(3, 3, ranks)
    shares = [
        loop.refused.get(rank, 0) / (loop.refused.get(rank, 0) + loop.served[rank]) for rank in range(4)
    ]
    assert shares[CRITICAL] == 0.0
    assert shares[KNOWN] < 0.05
    assert shares[SHEDDABLE] > shares[ANONYMOUS] > 0.5
    assert sum(loop.served.values()) * SERVED > 0.7 * 3


@pytest.mark.parametrize("load", [0.1, 0.5, 0.7])
def test_a_loop_that_was_held_up_once_refuses_nobody(load):
    """A pause of half a second is caught up with."""
    loop = Loop(Line(0.02))
    loop.run(1, load)
    loop.now += 0.5
    loop.batch += 0.5
    assert not loop.run(3, load).refused


def test_a_line_is_gone_after_a_while_without_one():
    """It takes several looks to come and to go, so that one batch decides nothing."""
    line = Line(0.02)
    for late in (0.03, 0.03, 0.03):
        assert not line.standing
        line.look(late, 1.0, 1.0)
    for _ in range(CALM):
        assert line.standing
        line.look(0.001, 1.0, 1.0)
    assert not line.standing


@given(st.lists(st.floats(0.0, 10.0)))
def test_it_stands_only_where_every_look_was_late(delays):
    """Three looks in a row beyond the target, at least."""
    line = Line(0.02)
    for number, late in enumerate(delays):
        before = line.standing
        line.look(late, float(number), float(number))
        if line.standing and not before:
            assert min(delays[number - 2 : number + 1]) > 0.02
