"""What is known of a database without asking: whether it answers, and its newest revision."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from proxyd.database.entries import DatabaseError, State
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxyd.clock import Clock
    from proxyd.database.target import Target

PAUSE: Final = 0.4  # seconds between two looks at the revision
LONGEST_PAUSE: Final = 5.0  # seconds, between two tries while the database is away

log = get_logger("database")


class News:
    """The state of a database, and who waits for another revision. An outage is two events: its beginning and its end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._woken = asyncio.Event()
        self.state = State(reachable=True, since=clock.time())

    def __repr__(self) -> str:
        return f"<News {self.state}>"

    async def other_than(self, revision: int) -> int:
        """Return the newest revision that is known, as soon as it is another one."""
        while self.state.revision == revision:
            await self._woken.wait()
        return self.state.revision

    def told(self, revision: int) -> None:
        """Take note of a revision that is there."""
        self.reached()
        if revision != self.state.revision:
            state = self.state
            self.state = State(state.reachable, state.since, state.error, revision)
            self._woken.set()
            self._woken = asyncio.Event()

    def lost(self, reason: str) -> None:
        """Take note of a failure."""
        if self.state.reachable:
            log.error("database away", reason=reason)
        since = self._clock.time() if self.state.reachable else self.state.since
        self.state = State(reachable=False, since=since, error=reason, revision=self.state.revision)

    def reached(self) -> None:
        """Take note of an answer."""
        if not self.state.reachable:
            now = self._clock.time()
            log.notice("database back", seconds=round(now - self.state.since, 3))
            self.state = State(reachable=True, since=now, revision=self.state.revision)


class Watcher:
    """Looks at the revision a few times a second: others may write, on other machines or by a command.

    PostgreSQL tells of a new one at once, as long as the connection for that stands.
    """

    def __init__(self, target: Target, ask: Callable[[], Awaitable[int]], news: News) -> None:
        self._target = target
        self._ask = ask
        self._news = news
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        if self._tasks:
            return
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._look())]
        if self._target.kind == "postgresql":
            from proxyd.database.listening import listen  # noqa: PLC0415  # asyncpg, for those who want it

            self._tasks.append(loop.create_task(listen(self._target, self._news.told)))

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _look(self) -> None:
        pause = PAUSE
        while True:
            try:
                self._news.told(await self._ask())
            except DatabaseError:
                pass  # whoever asks has told
            except Exception as error:  # noqa: BLE001  # whatever it is, it is looked at again
                log.crit("database not looked at", exc_info=error)
            pause = PAUSE if self._news.state.reachable else min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)
