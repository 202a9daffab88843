"""Who may open a connection to an upstream that has as many as it may have: the others wait in line for one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxyd.errors import GatewayError
    from proxyd.model.resilience import Limits
    from proxyd.upstream.connection import UpstreamConnection
    from proxyd.upstream.pool import Pool


class Openings:
    """The connections to one upstream. ``full`` makes the error of who does not get one, by what is used up.

    ``waiting`` counts the requests that have none yet, those for whom one is being opened included.
    """

    __slots__ = ("_dialling", "_full", "_line", "_pools", "rules", "waiting")

    def __init__(self, full: Callable[[str], GatewayError]) -> None:
        self.rules: Limits | None = None
        self.waiting = 0
        self._full = full
        self._line: deque[asyncio.Future[None]] = deque()
        self._dialling = 0
        self._pools: dict[int, frozenset[Pool]] = {}

    def __repr__(self) -> str:
        return f"<Openings open={self._open()} waiting={self.waiting}>"

    def follow(self, whose: int, pools: Iterable[Pool]) -> None:
        """Count the connections of these pools, in place of those that the same balancer had before."""
        self._pools[whose] = frozenset(pools)
        for pool in self._pools[whose]:
            pool.watcher = self.freed
        if not self._pools[whose]:
            del self._pools[whose]

    def _all(self) -> frozenset[Pool]:
        return frozenset().union(*self._pools.values())

    def _open(self) -> int:
        return sum(pool.open for pool in self._all())

    def _room(self, limit: int) -> bool:
        return self._open() + self._dialling < limit

    async def connect(self, pool: Pool, timeout: float, *, repeatable: bool) -> UpstreamConnection:  # noqa: ASYNC109
        """Open a connection, or take one that becomes free, within ``timeout`` seconds; raises GatewayError."""
        rules = self.rules
        if rules is None:
            return await pool.connect(timeout)
        if self.waiting >= rules.max_pending_requests:
            raise self._full("max_pending_requests")
        self.waiting += 1
        try:
            if not self._room(rules.max_connections):
                try:
                    async with asyncio.timeout(timeout):
                        connection = await self._wait(pool, rules.max_connections, repeatable=repeatable)
                except TimeoutError:
                    raise self._full("max_connections") from None
                if connection is not None:
                    return connection
            self._dialling += 1
            try:
                return await pool.connect(timeout)
            finally:
                self._dialling -= 1
        except BaseException:
            self.freed()  # the place that it did not use
            raise
        finally:
            self.waiting -= 1

    async def _wait(self, pool: Pool, limit: int, *, repeatable: bool) -> UpstreamConnection | None:
        """Wait for an idle connection, or for room to open one (None)."""
        enter = self._line.append
        while not self._room(limit):
            self._make_room(pool)
            place = asyncio.get_running_loop().create_future()
            enter(place)
            enter = self._line.appendleft  # whoever finds it taken after all is the next one still
            await place
            connection = pool.acquire(repeatable)
            if connection is not None:
                return connection
        return None

    def _make_room(self, pool: Pool) -> None:
        """Close a connection that lies idle, rather one to another target; its end frees the place."""
        for other in (*(self._all() - {pool}), pool):
            if other.retire():
                return

    def freed(self) -> None:
        """Have the next one look: a connection has become idle, or was closed."""
        line = self._line
        while line:
            place = line.popleft()
            if not place.done():
                place.set_result(None)
                return
