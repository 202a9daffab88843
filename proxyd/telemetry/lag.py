"""How late the event loop is: what every request waits for before it is even seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from proxyd.telemetry.histogram import Histogram

PERIOD = 0.25  # seconds between two looks


class LoopLag:
    """Observes, every ``period`` seconds, by how much a timer was late; ``tell`` hears of each."""

    __slots__ = ("_due", "_handle", "_histogram", "_loop", "_now", "_period", "_tell")

    def __init__(
        self,
        histogram: Histogram,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        period: float = PERIOD,
        tell: Callable[[float], None] | None = None,
    ) -> None:
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
        self.start()
        if self._tell is not None:
            self._tell(late)

    def stop(self) -> None:
        """Look no more; works when never started."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
