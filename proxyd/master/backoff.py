"""How long a slot waits until the next worker is started, after one has died."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 0.5  # seconds before the second restart; the first one comes at once
GROWTH = 2.0
CAP = 30.0  # seconds
STEADY = 30.0  # seconds that a worker has to be up, for its end to count as the first


class Backoff:
    """Tells the delay before each restart: none, then half a second, doubled up to ``CAP``."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._started = now()
        self._deaths = 0

    def __repr__(self) -> str:
        return f"<Backoff deaths={self._deaths}>"

    @property
    def deaths(self) -> int:
        """How many have died in a row, none of them having been up for ``STEADY`` seconds."""
        return self._deaths

    def started(self) -> None:
        """Note that a worker begins to serve."""
        self._started = self._now()

    def died(self, *, served: bool) -> float:
        """Note its end, and return the seconds to wait; ``served`` where it had begun to serve at all."""
        if served and self._now() - self._started >= STEADY:
            self._deaths = 0
        self._deaths += 1
        if self._deaths == 1:
            return 0.0
        return float(min(CAP, FIRST * GROWTH ** min(self._deaths - 2, 32)))
