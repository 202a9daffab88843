"""How late the event loop is: what every request waits for before it is even seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from proxyd.telemetry.histogram import Histogram

PERIOD = 0.25  # seconds between two looks


class LoopLag:
    """Observes, every ``PERIOD``, by how much a timer was late."""

    __slots__ = ("_due", "_handle", "_histogram", "_loop", "_now")

    def __init__(
        self, histogram: Histogram, loop: asyncio.AbstractEventLoop, now: Callable[[], float]
    ) -> None:
        self._histogram = histogram
        self._loop = loop
        self._now = now
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<LoopLag {'running' if self._handle else 'stopped'}>"

    def start(self) -> None:
        """Begin to look."""
        self._due = self._now() + PERIOD
        self._handle = self._loop.call_later(PERIOD, self._tick)

    def _tick(self) -> None:
        self._histogram.observe(max(self._now() - self._due, 0.0))
        self.start()

    def stop(self) -> None:
        """Look no more; works when never started."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
