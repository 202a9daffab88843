"""Delivery of spans to a collector from a thread: batched, bounded, tried again, and never waited for by a request."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from proxyd.telemetry.events import get_logger
from proxyd.telemetry.queue import DeliveryError, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from proxyd.telemetry.spans import Span

log = get_logger("tracing")


class Sender(Protocol):
    """Brings one batch to a collector. Called from the thread."""

    def send(self, batch: Sequence[Span]) -> None:
        """Deliver a batch, within a time of its own; raises DeliveryError."""


# Kong's queue sends entries one by one; a span is too small for that.
LIMITS = Limits(max_batch_size=200)


@dataclass(slots=True)
class Counts:
    """What became of spans: ``dropped`` found no place to wait, ``failed`` were not taken by the collector."""

    sent: int = 0
    dropped: int = 0
    failed: int = 0


class Shipper:
    """Takes spans on the loop, one caller, and hands them to a sender in a thread.

    ``destination`` names the collector in the log: one line when an outage begins, one when it is over. The thread
    starts with the first span, so a shipper may be made before a fork.
    """

    def __init__(
        self,
        sender: Sender,
        destination: str,
        counts: Counts,
        now: Callable[[], float],
        limits: Limits = LIMITS,
    ) -> None:
        self._sender = sender
        self._destination = destination
        self._counts = counts
        self._now = now
        self._limits = limits
        self._queue: deque[Span] = deque()
        self._some = threading.Event()  # there is something to do
        self._enough = threading.Event()  # a batch is full
        self._stopping = threading.Event()
        self._abandoned = False
        self._thread: threading.Thread | None = None
        self._lost = -1  # spans of the present outage, -1 without one

    def __repr__(self) -> str:
        return f"<Shipper {self._destination} waiting={len(self._queue)} {self._counts}>"

    # --- called on the loop ----------------------------------------------------------------------------------

    def offer(self, span: Span) -> None:
        """Take a span; beyond the limit it is dropped and counted."""
        queue, limits = self._queue, self._limits
        if len(queue) >= limits.max_entries or self._stopping.is_set():
            self._counts.dropped += 1
            return
        queue.append(span)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name=f"spans to {self._destination}", daemon=True
            )
            self._thread.start()
        if len(queue) >= limits.max_batch_size:
            self._enough.set()
        self._some.set()

    async def stop(self, timeout: float = 2.0) -> bool:  # noqa: ASYNC109  # a bound, not a cancellation
        """Deliver what waits, each batch in one attempt, within ``timeout`` seconds; false if that did not do."""
        self._stopping.set()
        self._enough.set()
        self._some.set()
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join, timeout)
        self._abandoned = True
        left = len(self._queue)
        if left:
            self._counts.failed += left
            log.warning("spans were not delivered", destination=self._destination, spans=left)
        return not left and (thread is None or not thread.is_alive())

    # --- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            if not self._enough.wait(0.0):
                self._enough.wait(self._limits.max_coalescing_delay)
            self._enough.clear()
            while self._queue and not self._abandoned:
                self._deliver(self._next_batch())
            if self._stopping.is_set():
                return

    def _next_batch(self) -> list[Span]:
        return [self._queue.popleft() for _ in range(min(self._limits.max_batch_size, len(self._queue)))]

    def _deliver(self, batch: list[Span]) -> None:
        """Send a batch, until it is taken or there is no point in going on."""
        limits = self._limits
        pause = limits.initial_retry_delay
        give_up = self._now() + limits.max_retry_time
        while True:
            again = False
            try:
                self._sender.send(batch)
            except DeliveryError as error:
                self._failing(str(error))
                again = error.again
            except Exception as error:  # noqa: BLE001  # whatever it is, the next batch may do
                self._failing(repr(error))
            else:
                self._counts.sent += len(batch)
                self._recovered()
                return
            if not again or self._now() + pause > give_up or self._stopping.wait(pause):
                self._counts.failed += len(batch)
                self._lost += len(batch)
                return
            pause = min(pause * 2, limits.max_retry_delay)

    def _failing(self, reason: str) -> None:
        if self._lost < 0:
            self._lost = 0
            log.warning("spans are not taken", destination=self._destination, reason=reason)

    def _recovered(self) -> None:
        if self._lost >= 0:
            log.notice("spans are taken again", destination=self._destination, lost=self._lost)
            self._lost = -1


class Deliveries:
    """What delivers spans, and how much of them, for all generations of a configuration.

    A shipper is shared by the instances that configure the same one, those before and after a reload among them: what
    ends after a reload, as a WebSocket does, still has its place to go. Counts are by the plugin's name.
    """

    __slots__ = ("_shared", "by_plugin")

    def __init__(self) -> None:
        self.by_plugin: dict[str, Counts] = {}
        self._shared: dict[Hashable, tuple[Shipper, int]] = {}

    def __repr__(self) -> str:
        return f"<Deliveries {len(self._shared)} {self.by_plugin}>"

    def of(self, plugin: str) -> Counts:
        """Return the counts of a plugin, the same ones every time."""
        return self.by_plugin.setdefault(plugin, Counts())

    def acquire(self, key: Hashable, make: Callable[[], Shipper]) -> Shipper:
        """Return the shipper of this key, made where it is not there yet."""
        shipper, users = self._shared.get(key) or (make(), 0)
        self._shared[key] = shipper, users + 1
        return shipper

    async def release(self, key: Hashable) -> None:
        """Let go of a shipper; behind the last user it delivers what waits, and stops."""
        shipper, users = self._shared.pop(key)
        if users > 1:
            self._shared[key] = shipper, users - 1
        else:
            await shipper.stop()
