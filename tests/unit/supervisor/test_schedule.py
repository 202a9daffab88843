"""Times as cron has them."""

from __future__ import annotations

import time

import pytest
from schedule import Schedule


def at(text):
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))


@pytest.mark.parametrize(
    ("line", "moment", "included"),
    [
        ("* * * * *", "2026-11-25 03:07", True),
        ("7 3 * * *", "2026-11-25 03:07", True),
        ("7 3 * * *", "2026-11-25 03:08", False),
        ("7 4 * * *", "2026-11-25 03:07", False),
        ("*/15 * * * *", "2026-11-25 03:45", True),
        ("*/15 * * * *", "2026-11-25 03:46", False),
        ("5/20 * * * *", "2026-11-25 03:45", True),
        ("10-20/5,50 * * * *", "2026-11-25 03:15", True),
        ("10-20/5,50 * * * *", "2026-11-25 03:50", True),
        ("10-20/5,50 * * * *", "2026-11-25 03:16", False),
        ("0 4 * 12 *", "2026-11-25 04:00", False),
        ("0 4 * * 3", "2026-11-25 04:00", True),  # a Wednesday
        ("0 4 * * 7", "2026-11-29 04:00", True),  # Sunday has two numbers
        ("0 4 * * 0", "2026-11-29 04:00", True),
        ("0 4 * * 5-7", "2026-11-29 04:00", True),
        ("0 4 1 * 3", "2026-11-25 04:00", True),  # the day of the month or that of the week
        ("0 4 25 * 1", "2026-11-25 04:00", True),
        ("0 4 1 * 1", "2026-11-25 04:00", False),
        ("0 4 1 * *", "2026-11-25 04:00", False),
    ],
)
def test_a_line_includes_what_it_says(line, moment, included):
    """Lists, ranges and steps, and cron's rule for two kinds of days."""
    assert Schedule(line).includes(at(moment)) is included


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("0 4 * *", "has 4 fields instead of five"),
        ("60 * * * *", "'60' is no minute from 0 to 59"),
        ("0 4 0 * *", "'0' is no day from 1 to 31"),
        ("0 5-4 * * *", "'5-4' is no hour from 0 to 23"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("0 four * * *", "'four' is no hour"),
        ("0 4 * * mon", "'mon' is no weekday"),
    ],
)
def test_a_line_that_says_nothing_is_refused(line, error):
    """With the field that is wrong."""
    with pytest.raises(ValueError, match=error.replace("*", r"\*")):
        Schedule(line)
