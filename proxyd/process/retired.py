"""Generations that a reload replaced, each kept going until the requests that began with it are over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from proxyd.downstream.listener import Connections
    from proxyd.downstream.protocol import Downstream
    from proxyd.exchange import Exchange
    from proxyd.gateway.snapshot import Snapshot

log = get_logger("worker")

POLL = 0.1  # seconds between two looks at the requests that a generation waits for


class Retired:
    """Stops old generations, at the latest ``limit`` seconds after they were replaced.

    A request under way may yet try another target, or have phases to run. Tunnels are not waited for: their
    connections are made, and they may last for days.
    """

    def __init__(self, clients: Connections, limit: float) -> None:
        self._clients = clients
        self._limit = limit
        self._waiting: dict[asyncio.Task[None], Snapshot] = {}

    def __repr__(self) -> str:
        return f"<Retired waiting={len(self._waiting)}>"

    async def add(self, snapshot: Snapshot) -> None:
        """Stop a generation: now where nothing is under way, and otherwise beside the caller."""
        under_way = [
            (connection, exchange)
            for connection in self._clients
            if (exchange := connection.exchange) is not None and not exchange.upgraded
        ]
        if not under_way:
            await _stop(snapshot)
            return

        task = asyncio.get_running_loop().create_task(self._wait(snapshot, under_way))
        self._waiting[task] = snapshot

    async def _wait(self, snapshot: Snapshot, under_way: list[tuple[Downstream, Exchange]]) -> None:
        try:
            async with asyncio.timeout(self._limit):
                while any(  # noqa: ASYNC110  # exchanges tell nobody of their end
                    connection.exchange is exchange and not exchange.upgraded
                    for connection, exchange in under_way
                ):
                    await asyncio.sleep(POLL)
        except TimeoutError:
            log.info("requests outlive their generation", generation=snapshot.generation)
        await _stop(snapshot)
        self._waiting.pop(cast("asyncio.Task[None]", asyncio.current_task()), None)

    async def stop(self) -> None:
        """Stop every generation that still waits."""
        waiting, self._waiting = self._waiting, {}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for snapshot in waiting.values():
            await _stop(snapshot)


async def _stop(snapshot: Snapshot) -> None:
    try:
        await snapshot.stop()
    except Exception as error:  # a plugin's; the new generation runs
        log.error(  # noqa: TRY400  # our loggers have no exception()
            "a generation did not stop cleanly", generation=snapshot.generation, exc_info=error
        )
