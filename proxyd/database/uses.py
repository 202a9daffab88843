"""When credentials were last used, as this machine's processes have noted, and how that gets into the database."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from proxyd.database.entries import DatabaseError
from proxyd.store.used import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AsyncExitStack

    class Keeper(Protocol):
        """The database, as far as it is about this."""

        async def use(self, times: Mapping[str, float]) -> None:
            """Keep them; raises DatabaseError."""

        async def last_used(self) -> dict[str, float]:
            """Return them; raises DatabaseError."""


EVERY: Final = 5.0  # seconds between two batches for a database
SOON: Final = 1.0  # seconds between two of a worker for its master


class Uses:
    """Gathers times by credential, in seconds since the epoch, and writes them in batches where there is a ``keeper``.

    Without one they are known since the process began, as far as there is room. ``every`` so many seconds is a batch.
    """

    def __init__(self, keeper: Keeper | None = None, every: float = EVERY) -> None:
        self._every = every
        self._heard: dict[str, float] = {}
        self._unwritten: dict[str, float] = {}
        self._take: Callable[[], Mapping[str, float]] = dict
        self._keeper = keeper
        self._running: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Uses heard={len(self._heard)} unwritten={len(self._unwritten)}>"

    def start(self, ending: AsyncExitStack, take: Callable[[], Mapping[str, float]] = dict) -> None:
        """Begin, until ``ending`` ends; ``take`` returns what this process itself has noted since it was asked last."""
        self._take = take
        if self._keeper is not None:
            self._running = asyncio.get_running_loop().create_task(self._run())
            ending.push_async_callback(self.stop)

    async def stop(self) -> None:
        """End, with what is left written; works after a half start."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await self.write()

    def hear(self, times: Mapping[str, float]) -> None:
        """Take in what a worker has noted."""
        for credential, time in times.items():
            if len(self._heard) < 2 * MOST or credential in self._heard:
                self._heard[credential] = max(time, self._heard.get(credential, 0.0))
                self._unwritten[credential] = self._heard[credential]

    async def write(self) -> None:
        """Write what is new; where the database is away, it is tried again with the next batch."""
        self.hear(self._take())
        if self._keeper is None:
            self._unwritten.clear()
        elif self._unwritten:
            batch, self._unwritten = self._unwritten, {}
            try:
                await self._keeper.use(batch)
            except DatabaseError:
                self._unwritten = {**batch, **self._unwritten}

    async def all(self) -> Mapping[str, float]:
        """Return what is known; raises DatabaseError."""
        self.hear(self._take())
        if self._keeper is None:
            return self._heard
        return {**await self._keeper.last_used(), **self._unwritten}

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self.write()
