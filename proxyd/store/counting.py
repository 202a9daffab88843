"""Where a process counts: its machine's counters, and what stands in for counters that are away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.store.counters import CountersAway, LocalCounters
from proxyd.store.under_way import LocalUnderWay
from proxyd.store.used import LastUsed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proxyd.model.redis import Redis
    from proxyd.store.counters import Counters, Taken, Window
    from proxyd.store.redis import RedisCounters
    from proxyd.store.under_way import UnderWay

    Tell = Callable[[Redis, str], None]


class Redises:
    """The Redis servers that are counted in; whoever names the same one shares its connections.

    ``tell`` hears of each outage with the reason, and of its end with nothing. ``authorities`` are who vouches for
    servers, as PEM; None: whom the system trusts.
    """

    def __init__(self, tell: Tell | None = None, authorities: str | None = None) -> None:
        self._tell = tell or (lambda _endpoint, _reason: None)
        self._authorities = authorities
        self._open: dict[Redis, RedisCounters] = {}
        self._uses: dict[Redis, int] = {}

    def __repr__(self) -> str:
        return f"<Redises {[str(endpoint) for endpoint in self._open]}>"

    def open(self, endpoint: Redis) -> RedisCounters:
        """Return the counters there, and keep them until as many have closed them as have opened them."""
        from proxyd.store.redis import RedisCounters  # noqa: PLC0415  # the package is optional

        counters = self._open.get(endpoint)
        if counters is None:
            counters = RedisCounters(endpoint, lambda reason: self._tell(endpoint, reason), self._authorities)
            self._open[endpoint] = counters
        self._uses[endpoint] = self._uses.get(endpoint, 0) + 1
        return counters

    async def close(self, endpoint: Redis) -> None:
        """Let go of the counters there; the last one ends their connections."""
        self._uses[endpoint] -= 1
        if not self._uses[endpoint]:
            del self._uses[endpoint]
            await self._open.pop(endpoint).close()

    def states(self) -> dict[str, bool]:
        """Return whether each can be counted in, by its place."""
        return {str(endpoint): not counters.away for endpoint, counters in self._open.items()}


class Counting:
    """The counters that limits stand on; one per process.

    ``here`` are the machine's, where processes share a file, and otherwise this process's. ``memory`` is this process's
    alone: it stands in while another process holds the file. ``fallbacks`` counts the requests that were counted
    elsewhere than they should have been, by what was away: so a limit held by each alone may have let more through.
    ``under_way`` are requests that have begun and not ended, by whose they are; ``used`` are credentials, by when they were.
    """

    def __init__(
        self,
        counters: Counters | None = None,
        redis: Redises | None = None,
        under_way: UnderWay | None = None,
    ) -> None:
        self.redis = redis or Redises()
        self.memory = LocalCounters()
        self.here = counters or self.memory
        self.fallbacks = {"file": 0, "redis": 0}
        self.under_way: UnderWay = under_way or LocalUnderWay()
        self.used = LastUsed()

    def __repr__(self) -> str:
        return f"<Counting {self.here!r} fallbacks={sum(self.fallbacks.values())}>"

    def take(self, key: bytes, windows: Sequence[Window], now: float, amount: int = 1) -> Taken:
        """Count here, and in this process alone where that cannot be."""
        try:
            return self.here.take(key, windows, now, amount)
        except CountersAway:
            self.fallbacks["file"] += 1
            return self.memory.take(key, windows, now, amount)

    @property
    def strangers(self) -> int:
        """Requests for whose callers there was no counter of their own."""
        return self.here.crowded + (self.memory.crowded if self.memory is not self.here else 0)

    def close(self) -> None:
        """Let go of the counters."""
        self.here.close()
        self.memory.close()
        self.under_way.close()
