"""How late the loop was lately."""

from __future__ import annotations

import random

from proxyd.telemetry.lag import LATELY, Lately


def test_the_latest_of_the_last_seconds_is_told():
    """Zero without a look; what is older than ten seconds counts no more."""
    lately = Lately()
    assert lately.worst() == 0.0
    for at, late in ((1.0, 0.5), (2.0, 0.1), (3.0, 0.2)):
        lately.note(at, late)
    assert lately.worst() == 0.5
    lately.note(11.5, 0.0)
    assert lately.worst() == 0.2
    lately.note(30.0, 0.01)
    assert lately.worst() == 0.01


def test_it_is_the_maximum_over_the_window():
    """Whatever comes, it is what a look through all of the last seconds would find, and no more is kept than that."""
    lately, looks = Lately(), []
    for number in range(2000):
        looks.append((number * 0.25, random.Random(number).random()))
        lately.note(*looks[-1])
        assert lately.worst() == max(late for at, late in looks if at >= looks[-1][0] - LATELY)
    assert len(lately._looks) <= LATELY / 0.25 + 1
