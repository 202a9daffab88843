"""Counters of windows of time: checked and counted up in one step, so that a limit is a limit.

A window is told by its start in epoch seconds. Of each, the count of the one before is kept too, for limits that slide.
``LocalCounters`` is of one process, ``shared.SharedCounters`` of all processes of a machine that name the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_COUNTERS = 1_000_000  # in one process: about 200 MB
SWEEP = 1000  # counters looked at for each one that is new, once there are too many


class Window(NamedTuple):
    """A limit over a window; times in epoch seconds.

    ``weight`` is the share of the previous window's count that counts as well: 0.0 for a fixed window.
    """

    name: bytes
    limit: int
    start: int
    end: int
    previous: int
    weight: float = 0.0


class Taken(NamedTuple):
    """What came of a request: whether there was room in every window, and what each had used before it."""

    admitted: bool
    used: tuple[int, ...]


class Counters(Protocol):
    """Where counts are kept."""

    def take(self, key: bytes, windows: Sequence[Window]) -> Taken:
        """Count one request of ``key`` in all windows, or in none where one of them is full."""

    def close(self) -> None:
        """Let go of what was opened."""


class Slot(NamedTuple):
    """One counter: the start of its window, its count, the count of the window before, and when it may go."""

    start: int
    used: int
    before: int
    end: int


EMPTY = Slot(-1, 0, 0, 0)


def moved(slot: Slot, window: Window) -> Slot:
    """Return the slot as it is in a window: emptied where time has gone on."""
    if slot.start == window.start:
        return slot
    before = slot.used if slot.start == window.previous else 0
    return Slot(window.start, 0, before, 2 * window.end - window.start)


def decide(slots: Sequence[Slot], windows: Sequence[Window]) -> Taken:
    """Decide over slots that have been moved into their windows."""
    used = tuple(
        slot.used + int(slot.before * window.weight) for slot, window in zip(slots, windows, strict=True)
    )
    return Taken(all(count < window.limit for count, window in zip(used, windows, strict=True)), used)


class LocalCounters:
    """Counts in the memory of this process."""

    def __init__(self, capacity: int = MAX_COUNTERS) -> None:
        self._capacity = capacity
        self._slots: dict[bytes, Slot] = {}

    def __repr__(self) -> str:
        return f"<LocalCounters {len(self._slots)}>"

    def take(self, key: bytes, windows: Sequence[Window]) -> Taken:
        """Count; nothing else runs in between, as nothing here waits."""
        names = [key + window.name for window in windows]
        slots = [
            moved(self._slots.get(name, EMPTY), window) for name, window in zip(names, windows, strict=True)
        ]
        taken = decide(slots, windows)
        if taken.admitted:
            for name, slot in zip(names, slots, strict=True):
                self._slots[name] = slot._replace(used=slot.used + 1)
            if len(self._slots) > self._capacity:
                self._sweep(max(window.start for window in windows))
        return taken

    def close(self) -> None:
        """Forget."""
        self._slots.clear()

    def _sweep(self, now: int) -> None:
        """Take out counters whose windows are over; where none is, the one counted up longest ago."""
        names = iter(self._slots)
        oldest = [next(names) for _ in range(min(SWEEP, len(self._slots)))]
        over = [name for name in oldest if self._slots[name].end <= now]
        for name in over or oldest[:1]:
            del self._slots[name]
