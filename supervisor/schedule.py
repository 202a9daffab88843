"""Times to restart at, as cron has them: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday)."""

from __future__ import annotations

import time

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))


class Schedule:
    """A line of five fields; each is ``*`` or a list of numbers and ranges, with a step behind a slash."""

    def __init__(self, text: str) -> None:
        """Read it; raises ValueError."""
        words = text.split()
        if len(words) != len(FIELDS):
            raise ValueError(f"'{text}' has {len(words)} fields instead of five, such as '0 4 * * *'")
        self._fields = [_numbers(word, *field) for word, field in zip(words, FIELDS, strict=True)]
        self._open = [word.startswith("*") for word in words]

    def includes(self, now: float) -> bool:
        """Tell whether the minute of this time, in seconds since the epoch, is one of them."""
        local = time.localtime(now)
        minute, hour, day, month, weekday = self._fields
        if local.tm_min not in minute or local.tm_hour not in hour or local.tm_mon not in month:
            return False
        on_day = local.tm_mday in day
        on_weekday = (local.tm_wday + 1) % 7 in weekday
        # Where both are given, one is enough: cron's rule.
        return on_day and on_weekday if self._open[2] or self._open[4] else on_day or on_weekday


def _numbers(word: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for item in word.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        try:
            every = int(step) if slash else 1
            begin = low if span == "*" else int(first)
            end = high if span == "*" or (slash and not dash) else int(last if dash else first)
        except ValueError:
            raise ValueError(f"'{item}' is no {name}") from None
        if every < 1 or not low <= begin <= end <= high:
            raise ValueError(f"'{item}' is no {name} from {low} to {high}")
        found |= set(range(begin, end + 1, every))
    return frozenset(number % 7 for number in found) if name == "weekday" else frozenset(found)
