"""Time, injected: nothing else in proxyd asks the operating system what time it is.

``Clock`` gives the two times that a gateway needs. ``DeadlineWheel`` watches thousands of deadlines that are
moved on every read at the cost of one attribute write each, where a loop timer would be cancelled and made
anew per request.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

TICK: Final = 0.05  # seconds: how late a deadline may be noticed


class Clock:
    """The machine's clock. ``now`` is monotonic seconds, ``time`` seconds since the epoch.

    ``worked`` is the seconds that this thread has had a processor.
    """

    now: Callable[[], float] = staticmethod(time.monotonic)
    worked: Callable[[], float] = staticmethod(time.thread_time)
    time: Callable[[], float] = staticmethod(time.time)


class Watched(Protocol):
    """What a wheel watches: ``deadline`` may be moved freely, later ones at no cost; 0.0 is none.

    ``slot`` belongs to the wheel: the one slot that counts for this thing, 0 when it is in none.
    """

    deadline: float
    slot: int

    def deadline_passed(self) -> None:
        """Act on a deadline that is over; called once, from the loop."""


class DeadlineWheel:
    """Calls ``deadline_passed`` of what it watches, at most two ``TICK`` late.

    A thing sits in the slot of the deadline it was registered with. When the slot is due, it is called if its
    deadline is over, registered again if the deadline has moved on, and forgotten if it has none (0.0).
    """

    __slots__ = ("_handle", "_loop", "_next", "_slots", "now")

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self.now = clock.now
        self._loop = loop
        self._slots: dict[int, list[Watched]] = {}
        self._next = int(self.now() / TICK)
        self._handle: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<DeadlineWheel watching={sum(map(len, self._slots.values()))}>"

    def watch(self, thing: Watched, deadline: float) -> None:
        """Set ``thing.deadline`` and see that it is noticed; cheap when it was only moved further away."""
        thing.deadline = deadline
        slot = int(deadline / TICK) + 1
        if 0 < thing.slot <= slot:
            return
        if self._handle is None:
            self._next = int(self.now() / TICK)
            self._handle = self._loop.call_later(TICK, self._tick)
        thing.slot = slot = max(slot, self._next + 1)
        self._slots.setdefault(slot, []).append(thing)

    def _tick(self) -> None:
        # The handle stays while slots are worked off: what is watched meanwhile must not start the count anew,
        # or the slots between would be passed over.
        try:
            self.advance()
        finally:
            self._handle = self._loop.call_later(TICK, self._tick) if self._slots else None

    def advance(self) -> None:
        """Work off every slot that is due by now."""
        now = self.now()
        current = int(now / TICK)
        while self._next < current:
            self._next += 1
            for thing in self._slots.pop(self._next, ()):
                if thing.slot != self._next:
                    continue  # it has since moved to an earlier slot, which has seen to it
                thing.slot = 0
                deadline = thing.deadline
                if not deadline:
                    continue
                if deadline <= now:
                    thing.deadline = 0.0
                    thing.deadline_passed()
                else:
                    self.watch(thing, deadline)

    def close(self) -> None:
        """Stop ticking and forget everything."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._slots.clear()
