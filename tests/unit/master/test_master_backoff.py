"""The wait before a worker is started again."""

from __future__ import annotations

from proxyd.master.backoff import CAP, STEADY, Backoff


class Hand:
    """A clock that is moved by hand."""

    def __init__(self):
        self.time = 100.0

    def now(self):
        return self.time


def test_the_first_restart_is_at_once_and_the_others_ever_later():
    """None, half a second, one, two, and so on to the cap."""
    backoff = Backoff(Hand().now)
    delays = [backoff.died(served=False) for _ in range(9)]
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, CAP, CAP]
    assert backoff.deaths == 9
    assert all(backoff.died(served=False) == CAP for _ in range(2000))


def test_who_has_been_up_for_a_while_starts_anew():
    """After a steady worker, a death is the first; one that never served has not been steady."""
    hand = Hand()
    backoff = Backoff(hand.now)
    backoff.died(served=True)
    backoff.started()
    hand.time += STEADY - 1
    assert backoff.died(served=True) == 0.5
    backoff.started()
    hand.time += STEADY
    assert backoff.died(served=False) == 1.0
    assert backoff.died(served=True) == 0.0
