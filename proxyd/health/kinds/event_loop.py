"""How late the loops of the processes that serve were, in the last seconds: what every request waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyd.health.look import DownError

if TYPE_CHECKING:
    from proxyd.health.look import Around, Processes
    from proxyd.model.indicators import EventLoop


class EventLoopLook:
    """Reads what is measured anyway."""

    def __init__(self, config: EventLoop, processes: Processes) -> None:
        self._max_lag = config.max_lag
        self._processes = processes

    def __repr__(self) -> str:
        return f"<EventLoopLook max_lag={self._max_lag}>"

    async def look(self) -> dict[str, Any]:
        """Hold the latest to the limit; raises DownError."""
        lags = self._processes.lags()
        seen = {"lag_seconds": {name: round(lag, 6) for name, lag in lags.items()}}
        for name, lag in lags.items():
            if lag > self._max_lag:
                raise DownError(f"{name} was {lag:.3f} s late, more than {self._max_lag:g} s", seen)
        return seen

    async def close(self) -> None:
        """Nothing is kept."""


def make(config: EventLoop, around: Around) -> EventLoopLook:
    """Set it up."""
    return EventLoopLook(config, around.processes)
