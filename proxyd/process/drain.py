"""How a process stops serving: in steps, each of which clients can follow without losing a request.

1. ``/status/ready`` says 503, and every answer carries ``Connection: close``. For ``delay`` seconds, connections are
   still accepted: load balancers look only so often.
2. Nothing is accepted any more; what waited in a queue that would go with the process is let in. Idle connections have
   ``grace`` seconds in which a request is answered as ever.
3. Streams of events end, and whatever else a client begins anew elsewhere. What is under way besides has until
   ``limit``. Then WebSockets are sent close frames, and what is left is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxyd.downstream.listener import Connections, Listener

POLL = 0.02  # seconds between two looks at connections that are not made yet
FAREWELL = 1.0  # seconds that a WebSocket's ends have to answer a close frame

log = get_logger("worker")


class Drain:
    """The end of a process's serving; ``handshakes`` counts those under way."""

    def __init__(
        self, clients: Connections, listener: Listener, grace: float, handshakes: Callable[[], int]
    ) -> None:
        self._clients = clients
        self._listener = listener
        self._grace = grace
        self._handshakes = handshakes
        self._cut = asyncio.Event()

    def __repr__(self) -> str:
        state = "cut" if self._cut.is_set() else "begun" if self._clients.draining else "ahead"
        return f"<Drain {state}>"

    def cut(self) -> None:
        """Wait for nothing any longer."""
        self._cut.set()

    async def run(self, limit: float, delay: float = 0.0) -> None:
        """Stop accepting and let requests finish for up to ``limit`` seconds behind ``delay``."""
        clients, listener = self._clients, self._listener
        grace = min(self._grace, limit / 2)
        clients.draining, clients.grace = True, grace
        if delay:
            log.notice("draining", delay=delay)
            await self._within(delay, asyncio.Event().wait())
        listener.close()
        grace = 0.0 if self._cut.is_set() else grace
        clients.dismiss(grace)
        gone = await self._within(grace, self._nobody())
        listener.abort()
        clients.leave()
        clients.dismiss(grace)  # who was let in last, and asks for nothing
        if not gone and not await self._within(limit - grace, clients.gone()) and len(clients):
            await self._end(limit)

    async def _nobody(self) -> None:
        while (  # noqa: ASYNC110  # handshakes tell nobody of their end
            self._listener.entering or self._handshakes() or len(self._clients)
        ):
            await asyncio.sleep(POLL)

    async def _within(self, seconds: float, awaited: Awaitable[object]) -> bool:
        """Wait for something, for so long and until the cut; true where it came about."""
        task = asyncio.ensure_future(awaited)
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            limit = None if seconds == float("inf") else seconds
            await asyncio.wait({task, cut}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            return task.done()
        finally:
            for one in (task, cut):
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await one

    async def _end(self, limit: float) -> None:
        """Cut what is left, WebSockets in good order."""
        clients = self._clients
        requests = len(clients) - clients.tunnels
        log.warning(
            "requests were cut", connections=requests, websockets=clients.tunnels, after_seconds=limit
        )
        clients.go_away()
        await asyncio.sleep(0)  # the loop writes at its next turn
        clients.cut_requests()
        await self._within(min(FAREWELL, limit), clients.gone())
        await clients.abort()
