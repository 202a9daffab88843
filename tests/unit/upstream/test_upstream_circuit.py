"""The circuit of an upstream: when it opens, who finds out, and what closes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream_fakes import FakeClock

from proxyd.model.resilience import CircuitBreaker
from proxyd.upstream.circuit import AGAIN, CLOSED, HALF_OPEN, OPEN, SLICES, Circuit, Window


class Case:
    """A circuit, and the tries that are under way in it."""

    def __init__(self, **rules):
        self.clock = FakeClock()
        self.turns = []
        rules = {"minimum_requests": 4, "window": 10, "open_duration": 5, **rules}
        self.circuit = Circuit(
            CircuitBreaker(**rules),
            self.clock.now,
            lambda circuit, reason: self.turns.append((circuit.state, reason)),
        )

    def tries(self, *outcomes, latency=0.0):
        """Make tries that are over at once: f fails, any other letter does not."""
        for outcome in outcomes:
            assert self.circuit.wait() == 0.0
            epoch = self.circuit.enter()
            self.circuit.judge(epoch, latency, failed=outcome == "f")
            self.circuit.leave(epoch)

    def open(self):
        self.tries(*"ffff")
        assert self.circuit.state == OPEN


@pytest.fixture
def case():
    return Case()


# --- closed --------------------------------------------------------------------------------------------------


def test_too_many_failures_open_it(case):
    """Half of them by default, once there are enough tries to judge by."""
    case.tries(*"fff")
    assert case.circuit.state == CLOSED
    case.tries("g")
    assert case.turns == [(OPEN, "error_percent")]


def test_fewer_do_not(case):
    """A third of failures is none of its business."""
    case.tries(*"gfg" * 50)
    assert (case.circuit.state, case.turns) == (CLOSED, [])


def test_what_is_over_for_longer_than_the_window_is_forgotten(case):
    """Failures of a minute ago do not add to those of now."""
    case.tries(*"fff")
    case.clock.advance(11)
    case.tries("f")
    assert (case.circuit.state, case.circuit.window.total) == (CLOSED, 1)


def test_slow_answers_open_it():
    """Where it is said what is slow."""
    case = Case(slow_after=1.0, error_percent=0)
    case.tries(*"gg", latency=1.0)
    case.tries(*"gg", latency=1.1)
    assert case.turns == [(OPEN, "slow_percent")]


@pytest.mark.parametrize(
    "rules", [{"error_percent": 0}, {"error_percent": 0, "slow_after": 1, "slow_percent": 0}]
)
def test_zero_switches_a_rule_off(rules):
    """Nothing opens it then."""
    case = Case(**rules)
    case.tries(*"f" * 50, latency=9.0)
    assert case.circuit.state == CLOSED


# --- open ----------------------------------------------------------------------------------------------------


def test_while_it_is_open_nobody_passes(case):
    """Whoever asks is told for how long."""
    case.open()
    assert case.circuit.wait() == 5.0
    case.clock.advance(4)
    assert case.circuit.wait() == 1.0
    assert repr(case.circuit) == "<Circuit open <Window total=0 errors=0 slow=0> probes=0>"


def test_tries_under_way_have_no_say_any_more(case):
    """Those that were let in before it opened neither close it nor keep it open."""
    hung = [case.circuit.enter() for _ in range(3)]
    case.open()
    case.circuit.judge(hung[0], 0.0, failed=True)
    case.clock.advance(5)
    assert case.circuit.wait() == 0.0
    case.circuit.judge(hung[1], 9.0, failed=True)
    case.circuit.leave(hung[1])
    assert (case.circuit.state, case.circuit.probes) == (HALF_OPEN, 0)
    case.circuit.judge(hung[2], 0.0, failed=False)
    assert case.circuit.good == 0


# --- half-open -----------------------------------------------------------------------------------------------


def test_a_few_find_out_and_close_it(case):
    """Three at a time; the others come again soon. With three good answers it is closed, and counts from nothing."""
    case.open()
    case.clock.advance(5)
    epochs = []
    for _ in range(3):
        assert case.circuit.wait() == 0.0
        epochs.append(case.circuit.enter())
    assert (case.circuit.wait(), case.circuit.probes) == (AGAIN, 3)
    for epoch in epochs:
        case.circuit.judge(epoch, 0.0, failed=False)
        case.circuit.leave(epoch)
    assert case.turns == [(OPEN, "error_percent"), (HALF_OPEN, "open_duration"), (CLOSED, "probe")]
    case.tries(*"fff")
    assert case.circuit.state == CLOSED


def test_probes_that_hang_do_not_keep_everybody_out(case):
    """After a while others find out; what hung has its say all the same, should it come to that."""
    case.open()
    case.clock.advance(5)
    hung = []
    for _ in range(3):
        assert case.circuit.wait() == 0.0
        hung.append(case.circuit.enter())
    case.clock.advance(4)
    assert case.circuit.wait() == AGAIN
    case.clock.advance(1)
    case.tries(*"gg")
    assert (case.circuit.state, case.circuit.probes) == (HALF_OPEN, 3)
    case.circuit.judge(hung[0], 0.0, failed=False)
    assert case.circuit.state == CLOSED
    case.circuit.leave(hung[0])
    assert case.circuit.probes == 0


@pytest.mark.parametrize(("failed", "latency"), [(True, 0.0), (False, 2.0)])
def test_one_bad_answer_opens_it_again(failed, latency):
    """A failure or a slow one, and the time begins anew."""
    case = Case(slow_after=1.0)
    case.open()
    case.clock.advance(7)
    case.tries("g")
    epoch = case.circuit.enter()
    case.circuit.judge(epoch, latency, failed=failed)
    assert (case.circuit.wait(), case.turns[-1]) == (5.0, (OPEN, "probe"))


def test_a_probe_without_an_answer_makes_room(case):
    """Its client left: somebody else finds out."""
    case.open()
    case.clock.advance(5)
    assert case.circuit.wait() == 0.0
    epochs = [case.circuit.enter() for _ in range(3)]
    case.circuit.leave(epochs[0])
    assert (case.circuit.wait(), case.circuit.state) == (0.0, HALF_OPEN)


# --- whatever happens ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 4), st.booleans(), st.booleans()), max_size=200))
def test_a_window_counts_what_is_in_it(tries):
    """The same as counting anew what has not left it, slice by slice."""
    window, now, made = Window(10.0), 1000.0, []
    for passed, failed, slow in tries:
        now += passed
        window.add(now, failed=failed, slow=slow)
        made.append((int(now / (10.0 / SLICES)), failed, slow))
        kept = [one for one in made if one[0] > made[-1][0] - SLICES]
        assert (window.total, window.errors, window.slow) == (
            len(kept),
            sum(one[1] for one in kept),
            sum(one[2] for one in kept),
        )


STEPS = st.one_of(
    st.just("enter"),
    st.tuples(st.sampled_from(["good", "bad", "slow", "gone"]), st.integers(0, 50)),
    st.floats(0.1, 6.0),
)


@given(st.lists(STEPS, max_size=300), st.integers(1, 5))
def test_no_order_of_events_lets_too_many_through(steps, probes):
    """While it is open nobody is let in, while it is half-open never more than the probes; and it can always close."""
    case = Case(half_open_requests=probes, slow_after=1.0)
    circuit, inside, opened = case.circuit, [], 0.0
    for step in steps:
        before = circuit.state
        if step == "enter":
            if circuit.wait() == 0.0:
                assert circuit.state != OPEN
                assert before != OPEN or case.clock.now() - opened >= 5.0
                inside.append(circuit.enter())
        elif isinstance(step, float):
            case.clock.advance(step)
        elif inside:
            outcome, which = step
            epoch = inside.pop(which % len(inside))
            if outcome != "gone":
                circuit.judge(epoch, 2.0 if outcome == "slow" else 0.0, failed=outcome == "bad")
            circuit.leave(epoch)
        if circuit.state == OPEN and before != OPEN:
            opened = case.clock.now()
        assert 0 <= circuit.probes <= probes
        if circuit.state == HALF_OPEN:
            assert inside.count(circuit.epoch) == circuit.probes
    for epoch in inside:
        circuit.leave(epoch)
    case.clock.advance(10)
    case.tries(*"g" * probes)
    assert circuit.state == CLOSED
