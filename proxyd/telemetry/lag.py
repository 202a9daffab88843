"""How late the event loop is: what every request waits for before it is even seen."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from proxyd.telemetry.histogram import Histogram

PERIOD = 0.25  # seconds between two looks
LATELY = 10.0  # seconds that ``Lately`` reaches back


class Lately:
    """The latest that the loop was in the last ten seconds."""

    __slots__ = ("_looks",)

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float]] = deque()

    def __repr__(self) -> str:
        return f"<Lately {len(self._looks)}>"

    def note(self, at: float, late: float) -> None:
        """Note a look: when it was made, and how late. What is neither later nor newer than it counts no more."""
        looks = self._looks
        while looks and (looks[-1][1] <= late):
            looks.pop()
        looks.append((at, late))
        while looks[0][0] < at - LATELY:
            looks.popleft()

    def worst(self) -> float:
        """Return the latest, in seconds."""
        return self._looks[0][1] if self._looks else 0.0


class LoopLag:
    """Observes, every ``period`` seconds, by how much a timer was late; ``tell`` hears of each, and ``lately`` notes it."""

    __slots__ = ("_due", "_handle", "_histogram", "_lately", "_loop", "_now", "_period", "_tell")

    def __init__(
        self,
        histogram: Histogram,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        period: float = PERIOD,
        tell: Callable[[float], None] | None = None,
        lately: Lately | None = None,
    ) -> None:
        self._lately = lately
        self._period = period
        self._tell = tell
        self._histogram = histogram
        self._loop = loop
        self._now = now
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<LoopLag {'running' if self._handle else 'stopped'}>"

    def start(self) -> None:
        """Begin to look."""
        self._due = self._now() + self._period
        self._handle = self._loop.call_later(self._period, self._tick)

    def _tick(self) -> None:
        late = max(self._now() - self._due, 0.0)
        self._histogram.observe(late)
        if self._lately is not None:
            self._lately.note(self._due, late)
        self.start()
        if self._tell is not None:
            self._tell(late)

    def stop(self) -> None:
        """Look no more; works when never started."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
