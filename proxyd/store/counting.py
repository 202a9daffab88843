"""Where a process counts: its machine's counters, and what stands in for counters that are away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.store.counters import CountersAway, LocalCounters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.store.counters import Counters, Taken, Window


class Counting:
    """The counters that limits stand on; one per process.

    ``here`` are the machine's, where processes share a file, and otherwise this process's. ``memory`` is this process's
    alone: it stands in while another process holds the file. ``fallbacks`` counts the requests that were counted
    elsewhere than they should have been, by what was away: so a limit held by each alone may have let more through.
    """

    def __init__(self, counters: Counters | None = None) -> None:
        self.memory = LocalCounters()
        self.here = counters or self.memory
        self.fallbacks = {"file": 0, "redis": 0}

    def __repr__(self) -> str:
        return f"<Counting {self.here!r} fallbacks={sum(self.fallbacks.values())}>"

    def take(self, key: bytes, windows: Sequence[Window], now: float) -> Taken:
        """Count here, and in this process alone where that cannot be."""
        try:
            return self.here.take(key, windows, now)
        except CountersAway:
            self.fallbacks["file"] += 1
            return self.memory.take(key, windows, now)

    @property
    def strangers(self) -> int:
        """Requests for whose callers there was no counter of their own."""
        return self.here.crowded + (self.memory.crowded if self.memory is not self.here else 0)

    def close(self) -> None:
        """Let go of the counters."""
        self.here.close()
        self.memory.close()
