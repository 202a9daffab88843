"""Looks after workers that are there: one that hangs is ended, and one that has grown too large is replaced."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxyd.master.channel import ChannelError
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.memory import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.clock import Clock
    from proxyd.master.child import Child
    from proxyd.master.crew import Crew

INTERVAL = 2.0  # seconds between two looks
YOUNG = 60.0  # seconds in which a worker is not replaced again, however large it is
HANG = 30.0  # seconds without an answer that a worker is given up after
ONCE_MORE = (
    2.0  # seconds for it to answer then: it may be the master that stood still, with an answer waiting for it
)

log = get_logger("master")


class Watch:
    """Looks at each worker of a crew, every ``interval`` seconds; ``limit`` is what one may hold, 0 anything.

    ``weigh`` returns the resident memory of a process.
    """

    def __init__(
        self,
        crew: Crew,
        limit: int,
        clock: Clock,
        *,
        interval: float = INTERVAL,
        hang: float = HANG,
        weigh: Callable[[int], int | None] = resident_bytes,
    ) -> None:
        self._crew = crew
        self._limit = limit
        self._clock = clock
        self._interval = interval
        self._hang = hang
        self._weigh = weigh
        self._looking: asyncio.Task[None] | None = None
        self._asked: dict[Child, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Watch asked={len(self._asked)}>"

    def start(self) -> None:
        """Begin to look."""
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """Look no longer; works without ``start``."""
        looking, self._looking = self._looking, None
        tasks = [*self._asked.values(), *([looking] if looking is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            # Also those that drain: there may be no limit to how long they do.
            for child in self._crew.children:
                if child.state != "starting" and child.alive() and child not in self._asked:
                    task = asyncio.get_running_loop().create_task(self._ping(child))
                    self._asked[child] = task
            await self._look_at_sizes()

    async def _ping(self, child: Child) -> None:
        try:
            if not (await self._answers(child, self._hang) or await self._answers(child, ONCE_MORE)):
                log.error("worker hangs and is ended", worker=child.slot, pid=child.pid)
                child.hung = True
                await child.kill()
        finally:
            self._asked.pop(child, None)

    @staticmethod
    async def _answers(child: Child, within: float) -> bool:
        """Tell whether it answers in time; or is not there any more, which is another's affair."""
        try:
            await child.ask("ping", within=within)
        except ChannelError:
            return child.hung_up
        return True

    async def _look_at_sizes(self) -> None:
        limit = self._limit
        if not limit:
            return
        for slot in self._crew.slots:
            child = slot.serving
            if child is None or self._clock.now() - child.begun < YOUNG:
                continue
            used = self._weigh(child.pid)
            if used is not None and used > limit:
                log.warning(
                    "worker is too large and is replaced", worker=child.slot, rss_bytes=used, limit=limit
                )
                await self._crew.replace([slot])
