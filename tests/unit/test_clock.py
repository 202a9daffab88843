"""Deadlines: noticed in time, moved for nothing, and never lost."""

from __future__ import annotations

import pytest
from conversation import FakeClock, FakeLoop
from hypothesis import given
from hypothesis import strategies as st

from proxyd.clock import TICK, Clock, DeadlineWheel


class Thing:
    def __init__(self, clock):
        self.deadline = 0.0
        self.slot = 0
        self.passed = []
        self.again = 0.0  # seconds until the next deadline that it sets when one has passed
        self.wheel = None
        self._clock = clock

    def deadline_passed(self):
        self.passed.append(round(self._clock.now() - FakeClock.START, 6))
        if self.again:
            self.wheel.watch(self, self._clock.now() + self.again)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def loop(clock):
    return FakeLoop(clock)


@pytest.fixture
def wheel(clock, loop):
    return DeadlineWheel(clock, loop)


def late(passed, deadline):
    """Whether it was noticed at the deadline, and at most two ticks late."""
    return len(passed) == 1 and deadline <= passed[0] <= deadline + 2 * TICK + 1e-6


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.5, 60.0])
def test_a_deadline_is_noticed(clock, loop, wheel, seconds):
    """Not before it is over, and at most two ticks behind."""
    thing = Thing(clock)
    wheel.watch(thing, clock.now() + seconds)
    loop.advance(seconds - 0.005)
    assert thing.passed == []
    loop.advance(0.005 + 2 * TICK)
    assert late(thing.passed, seconds)
    assert (thing.deadline, thing.slot) == (0.0, 0)


def test_a_deadline_moved_away_is_followed(clock, loop, wheel):
    """Writing the attribute is enough, as long as it moves further away."""
    thing = Thing(clock)
    wheel.watch(thing, clock.now() + 1.0)
    for _ in range(10):
        loop.advance(0.5)
        thing.deadline = clock.now() + 1.0
    assert thing.passed == []
    loop.advance(1.0 + 2 * TICK)
    assert late(thing.passed, 6.0)


def test_a_deadline_moved_closer_is_noticed_when_watched(clock, loop, wheel):
    """A shorter time, such as an idle one behind an answer's, counts at once."""
    thing = Thing(clock)
    wheel.watch(thing, clock.now() + 60.0)
    wheel.watch(thing, clock.now() + 1.0)
    loop.advance(1.0 + 2 * TICK)
    assert late(thing.passed, 1.0)
    loop.advance(100.0)
    assert len(thing.passed) == 1


def test_a_deadline_taken_back_is_forgotten(clock, loop, wheel):
    """0.0 is none; a later one is watched anew."""
    thing = Thing(clock)
    wheel.watch(thing, clock.now() + 1.0)
    thing.deadline = 0.0
    loop.advance(2.0)
    assert (thing.passed, thing.slot, repr(wheel)) == ([], 0, "<DeadlineWheel watching=0>")
    wheel.watch(thing, clock.now() + 1.0)
    loop.advance(1.0 + 2 * TICK)
    assert late(thing.passed, 3.0)


def test_a_wheel_with_nothing_to_watch_does_not_turn(clock, loop, wheel):
    """A quiet process is not woken twenty times a second."""
    assert loop.timers == []
    wheel.watch(Thing(clock), clock.now() + 1.0)
    assert len(loop.timers) == 1
    loop.advance(2.0)
    assert loop.timers == []


def test_no_deadline_is_lost_when_the_loop_lags(clock, loop, wheel):
    """One thing that sets its next deadline while several slots are overdue does not hide the others."""
    first, second, third = things = [Thing(clock) for _ in range(3)]
    for position, thing in enumerate(things):
        thing.wheel, thing.again = wheel, 10.0
        wheel.watch(thing, clock.now() + 0.1 + position * 2 * TICK)
    clock.value += 1.0  # nothing ran for a second
    loop.run_due()
    assert [len(thing.passed) for thing in things] == [1, 1, 1]
    loop.advance(10.0 + 3 * TICK)
    assert [len(thing.passed) for thing in things] == [2, 2, 2]
    assert first.passed == second.passed == third.passed


def test_a_deadline_that_fails_does_not_stop_the_wheel(clock, loop, wheel):
    """Others are noticed although one raises."""
    broken, thing = Thing(clock), Thing(clock)
    broken.passed = None  # appending to it raises
    wheel.watch(broken, clock.now() + 0.1)
    wheel.watch(thing, clock.now() + 1.0)
    with pytest.raises(AttributeError):
        loop.advance(0.5)
    loop.advance(1.0)
    assert len(thing.passed) == 1


def test_a_closed_wheel_watches_nothing(clock, loop, wheel):
    """What is still scheduled is cancelled."""
    thing = Thing(clock)
    wheel.watch(thing, clock.now() + 1.0)
    wheel.close()
    loop.advance(5.0)
    assert (thing.passed, loop.timers, repr(wheel)) == ([], [], "<DeadlineWheel watching=0>")


steps = st.lists(
    st.tuples(
        st.sampled_from(["watch", "move", "drop", "advance", "lag"]),
        st.integers(0, 3),
        st.floats(0.01, 5.0, allow_nan=False),
    ),
    max_size=40,
)


@given(steps)
def test_the_wheel_agrees_with_a_plain_list_of_deadlines(script):
    """Whatever is watched, moved away, dropped and let pass: all that is due is noticed, nothing else is."""
    clock = FakeClock()
    loop = FakeLoop(clock)
    wheel = DeadlineWheel(clock, loop)
    things = [Thing(clock) for _ in range(4)]
    for what, which, seconds in script:
        thing = things[which]
        if what == "watch":
            wheel.watch(thing, clock.now() + seconds)
        elif what == "move" and thing.deadline:
            thing.deadline += seconds
        elif what == "drop":
            thing.deadline = 0.0
        elif what == "advance":
            loop.advance(seconds)
        elif what == "lag":
            clock.value += seconds
            loop.run_due()
        # Nothing is left that was due more than two ticks ago, once the loop has run.
        if what in {"advance", "lag"}:
            overdue = [one for one in things if one.deadline and one.deadline < clock.now() - 2 * TICK - 1e-6]
            assert overdue == []
    pending = [(one, one.deadline, len(one.passed)) for one in things if one.deadline]
    loop.advance(250.0)
    assert [len(one.passed) for one, _, before in pending] == [before + 1 for _, _, before in pending]
    assert all(one.passed[-1] + FakeClock.START >= deadline - 1e-6 for one, deadline, _ in pending)


def test_the_machines_clock_gives_both_times():
    """Monotonic seconds, and seconds since the epoch."""
    clock = Clock()
    assert clock.now() <= clock.now()
    assert clock.time() > 1_700_000_000
