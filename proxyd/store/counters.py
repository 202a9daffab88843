"""Counters of windows of time: checked and counted up in one step, so that a limit is a limit.

A window is told by its start in epoch seconds. Of each, the count of the one before is kept too, for limits that slide.
``LocalCounters`` is of one process, ``shared.SharedCounters`` of all processes of a machine that name the same file,
``redis.RedisCounters`` of several machines. Two rules hold in all of them:

- A counter never goes back to an earlier window. Who comes with one (it read the clock before a boundary and counts
  behind somebody who read it after, or the clock was set back) is counted in the window that the counter is in.
- A counter in use is never taken away to make room for another. Callers for whom there is no room are strangers: many
  of them share one counter, which holds them to the limit together. So one who chooses their own keys can crowd
  others out for the rest of a window, but nobody passes more often than the limit allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from proxyd.errors import ProxydError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_COUNTERS: Final = 250_000  # of each period, and as many of the window before: about 30 MB each
STRANGERS: Final = 64  # counters that callers share for whom there is no room


class CountersAway(ProxydError):  # noqa: N818  # what it is, not that it is one
    """Nothing could be counted in the time that there is; whoever counts decides what that means."""


class Window(NamedTuple):
    """A limit over a window; times in epoch seconds.

    ``period`` is its place in ``windows.PERIODS``. Of one that slides, a share of the previous window's count counts
    as well: as much of it as lies within one window's length from now, if its requests came evenly.
    """

    period: int
    limit: int
    start: int
    end: int
    previous: int
    sliding: bool = False

    def with_room(self, amount: int) -> Window:
        """Return the window that is full for one where this one is for ``amount``: with it, ``take`` counts all of it or nothing."""
        return self._replace(limit=self.limit - amount + 1)

    def used(self, count: int, before: int, now: float) -> int:
        """Return what is used of the limit, of the counts in this window and in the one before."""
        if not self.sliding or not before:
            return count
        left = (self.end - now) / (self.end - self.start)
        return count + int(before * min(1.0, max(0.0, left)))

    def retry_after(self, count: int, before: int, now: float) -> int:
        """Return in how many whole seconds a request passes, if there is none until then; of a full window."""
        length, end = self.end - self.start, self.end
        if not self.sliding:
            return seconds_until(end, now)
        if count >= self.limit:  # not in this window: in the next, once enough of this one has slid out
            end, count, before = end + length, 0, count
        # The smallest t with int(before * (end - t) / length) < limit - count.
        wait = int(end - length * (self.limit - count) / before - now) + 1 if before else 1
        return max(1, wait)

    def reset_after(self, count: int, now: float) -> int:
        """Return in how many seconds nothing that has been used counts any more."""
        return seconds_until(2 * self.end - self.start if self.sliding and count else self.end, now)


def seconds_until(moment: int, now: float) -> int:
    """Return the whole seconds after which a moment has come, 1 at least."""
    return max(1, -int((now - moment) // 1))


Counts = tuple[tuple[int, int], ...]
"""Of each window, what was counted in it before this request, and in the one before it."""

Taken = tuple[bool, Counts]
"""Whether there was room in every window, so that the request was counted in all of them, and the counts."""


class Counters(Protocol):
    """Where counts are kept."""

    crowded: int
    """How many requests were counted as strangers'."""

    def take(self, key: bytes, windows: Sequence[Window], now: float, amount: int = 1) -> Taken:
        """Count ``amount`` for ``key`` in all windows, or in none where one of them is full; raises CountersAway.

        The last of several that are counted at once may lie beyond the limit; 0 looks and counts nothing.
        """

    def add(self, key: bytes, window: Window, amount: int, now: float) -> None:
        """Count ``amount`` more, whatever the limit; raises CountersAway."""

    def close(self) -> None:
        """Let go of what was opened."""


class _Table:
    """The counters of one period: in the window that runs, and in the one before."""

    __slots__ = ("before", "counts", "start", "strangers", "strangers_before")

    def __init__(self) -> None:
        self.start = -1
        self.counts: dict[bytes, int] = {}
        self.before: dict[bytes, int] = {}
        self.strangers: dict[int, int] = {}
        self.strangers_before: dict[int, int] = {}

    def move(self, window: Window) -> None:
        """Go on to a later window."""
        follows = self.start == window.previous
        self.before = self.counts if follows else {}
        self.strangers_before = self.strangers if follows else {}
        self.counts, self.strangers = {}, {}
        self.start = window.start


class LocalCounters:
    """Counts in the memory of this process."""

    def __init__(self, capacity: int = MAX_COUNTERS) -> None:
        self.crowded = 0
        self._capacity = capacity
        self._tables: dict[int, _Table] = {}

    def __repr__(self) -> str:
        return f"<LocalCounters {sum(len(table.counts) for table in self._tables.values())}>"

    def take(self, key: bytes, windows: Sequence[Window], now: float, amount: int = 1) -> Taken:
        """Count; nothing else runs in between, as nothing here waits."""
        if len(windows) == 1 and not windows[0].sliding:  # the common case, without lists
            window = windows[0]
            table = self._table(window)
            count = table.counts.get(key)
            if count is not None or len(table.counts) < self._capacity:
                if count is None:
                    count = 0
                if count >= window.limit:
                    return False, ((count, 0),)
                table.counts[key] = count + amount
                return True, ((count, 0),)
        counts = tuple([self._counts(key, window) for window in windows])
        for window, (count, before) in zip(windows, counts, strict=True):
            if window.used(count, before, now) >= window.limit:
                return False, counts
        for window in windows if amount else ():
            self.add(key, window, amount, now)
        return True, counts

    def add(self, key: bytes, window: Window, amount: int, now: float) -> None:
        """Count more."""
        del now
        table = self._table(window)
        if self._is_stranger(table, key):
            self.crowded += 1
            cell = hash(key) % STRANGERS
            table.strangers[cell] = table.strangers.get(cell, 0) + amount
        else:
            table.counts[key] = table.counts.get(key, 0) + amount

    def close(self) -> None:
        """Forget."""
        self._tables.clear()

    def _table(self, window: Window) -> _Table:
        table = self._tables.get(window.period)
        if table is None:
            table = self._tables[window.period] = _Table()
        if table.start < window.start:
            table.move(window)
        return table

    def _is_stranger(self, table: _Table, key: bytes) -> bool:
        return len(table.counts) >= self._capacity and key not in table.counts

    def _counts(self, key: bytes, window: Window) -> tuple[int, int]:
        table = self._table(window)
        cell = hash(key) % STRANGERS
        stranger = self._is_stranger(table, key)
        count = table.strangers.get(cell, 0) if stranger else table.counts.get(key, 0)
        if not window.sliding:
            return count, 0
        before = table.before.get(key)
        # Who is not there was a stranger then, if there were any.
        return count, table.strangers_before.get(cell, 0) if before is None else before
