"""A bounded queue of records before a collector: in batches, tried again, and never waited for by a request.

What it does is Kong's (``kong/tools/queue.lua``): the oldest entries make room for new ones, a batch that is not
taken is tried again, with pauses that double, until its time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from proxyd.errors import ProxydError
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MOST_AT_ONCE = 16  # batches under way where there is to be no limit
CALM = 0.8  # of the queue: below it, a full one has recovered

log = get_logger("logs")


class DeliveryError(ProxydError):
    """A batch was not taken. The text goes to the log; with ``again`` false there is no use in another try."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


class Sender(Protocol):
    """Takes batches to a collector, one call at a time or several, as the queue's limits say."""

    async def send(self, batch: list[bytes]) -> None:
        """Deliver a batch within a time of its own; raises DeliveryError."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Kong's settings of a queue, with its defaults; times in seconds, ``max_bytes`` 0 for no limit."""

    max_batch_size: int = 1
    max_coalescing_delay: float = 1.0
    max_entries: int = 10_000
    max_bytes: int = 0
    max_retry_time: float = 60.0
    initial_retry_delay: float = 0.01
    max_retry_delay: float = 60.0
    concurrency_limit: int = 1  # batches under way, -1 for as many as there are


class Queue:
    """Entries on their way to one collector; an ``outputs.Output``.

    A task runs while there is something to deliver, and none otherwise.
    """

    def __init__(
        self,
        plugin: str,
        destination: str,
        limits: Limits,
        sender: Sender,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] | None = None,
    ) -> None:
        self.plugin = plugin
        self.destination = destination
        self.sent = 0
        self.dropped = 0
        self._limits = limits
        self._sender = sender
        self._now = now
        self._sleep = sleep or self._rest
        self._entries: deque[bytes] = deque()
        self._bytes = 0
        self._under_way = 0
        self._most = limits.concurrency_limit if limits.concurrency_limit > 0 else MOST_AT_ONCE
        self._workers: set[asyncio.Task[None]] = set()
        self._enough = asyncio.Event()  # a batch is full, or the queue is closing
        self._closing = asyncio.Event()
        self._full = False  # told so
        self._failing = False  # told so

    def __repr__(self) -> str:
        return f"<Queue {self.destination} waiting={self.waiting} sent={self.sent} dropped={self.dropped}>"

    @property
    def waiting(self) -> int:
        """Entries that were taken and not delivered yet."""
        return len(self._entries) + self._under_way

    # --- what comes in ---------------------------------------------------------------------------------------

    def put(self, entry: bytes) -> None:
        """Take an entry; never waits. Where there is no room, the oldest ones go."""
        limits, entries = self._limits, self._entries
        size = len(entry)
        if self._closing.is_set() or (limits.max_bytes and size > limits.max_bytes):
            self._overflow()
            return
        while entries and (len(entries) >= limits.max_entries or 0 < limits.max_bytes < self._bytes + size):
            self._bytes -= len(entries.popleft())
            self._overflow()
        entries.append(entry)
        self._bytes += size
        enough = len(entries) >= limits.max_batch_size
        if enough:
            self._enough.set()
        if not self._workers or (enough and len(self._workers) < self._most):
            self._workers.add(asyncio.get_running_loop().create_task(self._run()))

    def lost(self, count: int) -> None:
        """Count records that never came this far."""
        self.dropped += count

    def _overflow(self) -> None:
        self.dropped += 1
        if not self._full:
            self._full = True
            log.warning("a log queue is full", plugin=self.plugin, destination=self.destination)

    # --- what goes out ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while self._entries:
                await self._coalesce()
                batch = self._next()
                if batch:
                    await self._deliver(batch)
        finally:
            # At once, and not when the task is seen to be done: an entry that comes in between needs a new one.
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _coalesce(self) -> None:
        """Wait for a full batch, no longer than is set."""
        limits = self._limits
        if len(self._entries) >= limits.max_batch_size or self._closing.is_set():
            return
        self._enough.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.max_coalescing_delay):
                await self._enough.wait()

    def _next(self) -> list[bytes]:
        entries = self._entries
        batch = [entries.popleft() for _ in range(min(self._limits.max_batch_size, len(entries)))]
        self._bytes -= sum(map(len, batch))
        return batch

    async def _deliver(self, batch: list[bytes]) -> None:
        """Send a batch until it is taken, or its time is over."""
        limits = self._limits
        count = len(batch)
        self._under_way += count
        give_up = self._now() + limits.max_retry_time
        pause = limits.initial_retry_delay
        try:
            while True:
                try:
                    await self._sender.send(batch)
                except DeliveryError as error:
                    self._tell_failure(str(error))
                    if not error.again or self._now() >= give_up:
                        break
                except Exception as error:  # noqa: BLE001  # whatever it is, the next batch may do
                    self._tell_failure(type(error).__name__)
                    break
                else:
                    self.sent += count
                    count = 0
                    self._tell_success()
                    return
                # Spread, lest every process comes back in the same moment.
                await self._sleep(min(pause, limits.max_retry_delay) * random.uniform(0.5, 1.0))  # noqa: S311
                pause *= 2
        finally:
            self.dropped += count
            self._under_way -= len(batch)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not while the queue is closing: then every moment is worth a try."""
        if self._closing.is_set():
            await asyncio.sleep(min(seconds, 0.1))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _tell_failure(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            log.warning(
                "log records are not taken", plugin=self.plugin, destination=self.destination, reason=reason
            )

    def _tell_success(self) -> None:
        if self._failing:
            self._failing = False
            log.notice("log records are taken again", plugin=self.plugin, destination=self.destination)
        if self._full and len(self._entries) < self._limits.max_entries * CALM:
            self._full = False

    # --- the end ---------------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Collectors rotate nothing."""

    async def close(self, within: float) -> None:
        """Deliver what waits within some seconds; what is left is dropped."""
        self._closing.set()
        self._enough.set()
        workers = set(self._workers)
        if workers:
            _, late = await asyncio.wait(workers, timeout=within)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        left = len(self._entries)
        self._entries.clear()
        self.dropped += left
        if left:
            log.warning(
                "log records were not delivered",
                plugin=self.plugin,
                destination=self.destination,
                records=left,
            )
        await self._sender.close()
