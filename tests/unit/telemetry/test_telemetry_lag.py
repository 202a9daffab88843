"""How late the loop is."""

from __future__ import annotations

import pytest

from proxyd.telemetry.histogram import Histogram
from proxyd.telemetry.lag import PERIOD, LoopLag


def test_a_late_timer_is_observed_by_how_late_it_was(clock, loop):
    """Each look adds the time by which the loop missed it, and asks for the next."""
    histogram = Histogram()
    lag = LoopLag(histogram, loop, clock.now)
    lag.start()
    for late in (0.0, 0.03):
        clock.advance(PERIOD + late)
        assert loop.run_one() == PERIOD
    assert sum(histogram.counts) == 2
    assert histogram.sum == pytest.approx(0.03)
    assert repr(lag) == "<LoopLag running>"


def test_stopping_ends_it(clock, loop):
    """After the stop nothing is observed; stopping what never ran is harmless."""
    histogram = Histogram()
    lag = LoopLag(histogram, loop, clock.now)
    lag.stop()
    lag.start()
    lag.stop()
    loop.run_one()
    assert sum(histogram.counts) == 0
    assert repr(lag) == "<LoopLag stopped>"
