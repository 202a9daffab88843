"""Windows of the UTC calendar, as rate limits count in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from proxyd.store.counters import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

PERIODS: Final[tuple[str, ...]] = ("second", "minute", "hour", "day", "month", "year")
LENGTHS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


def bounds(period: str, now: int) -> tuple[int, int, int]:
    """Return when the period around ``now`` begins and ends, and the one before began; epoch seconds."""
    length = LENGTHS.get(period)
    if length is not None:
        start = now - now % length
        return start, start + length, start - length
    day = datetime.fromtimestamp(now, UTC)
    months = day.year * 12 + (day.month - 1 if period == "month" else 0)
    step = 1 if period == "month" else 12
    return _month(months), _month(months + step), _month(months - step)


def _month(months: int) -> int:
    return int(datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC).timestamp())


class Windows:
    """The windows of several limits by period; made anew when one of them is over."""

    def __init__(self, limits: Mapping[str, int], *, sliding: bool = False) -> None:
        self._limits = tuple((period, limit) for period, limit in limits.items())
        self._sliding = sliding
        self._from = self._until = 0
        self._made: tuple[Window, ...] = ()

    def at(self, now: float) -> tuple[Window, ...]:
        """Return the windows that a moment lies in, the same tuple while they last."""
        if not self._from <= now < self._until:
            second = int(now)
            self._made = tuple([self._window(period, limit, second) for period, limit in self._limits])
            self._from = max(window.start for window in self._made)
            self._until = min(window.end for window in self._made)
        return self._made

    def _window(self, period: str, limit: int, now: int) -> Window:
        return Window(PERIODS.index(period), limit, *bounds(period, now), self._sliding)
