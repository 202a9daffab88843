"""Segments of logs on their way to a bucket: by one process of a gateway, which is not the one that serves where there are workers.

A segment leaves the spool when its object is stored, and not before. A failure is tried again for as long as there is room
to wait in, with pauses that double; another try stores the same object.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from proxyd.errors import ProxydError
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.spool import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxyd.clock import Clock
    from proxyd.model.shipping import LogShipping
    from proxyd.telemetry.spool import Spool, Waiting

PERIOD = 1.0  # seconds between two looks into the spool
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds behind a failure
MOST_ASKED = 300.0  # seconds that a server may ask to wait

log = get_logger("log_shipping")


class StoreError(ProxydError):
    """A request was not done. ``kind`` is one word for metrics, ``after`` the seconds that the server asks to wait."""

    def __init__(self, reason: str, kind: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.kind = kind
        self.after = after


class Store(Protocol):
    """The bucket."""

    async def put(self, key: str, body: bytes, headers: Mapping[str, str], sha256: str) -> None:
        """Store an object; raises StoreError or OSError."""

    async def close(self) -> None:
        """Close connections."""


class Shipping:
    """Sends what is closed in a spool; its attributes are what metrics tell."""

    def __init__(self, config: LogShipping, spool: Spool, bucket: Store, clock: Clock) -> None:
        self.segments: Counter[str] = Counter()  # by what became of them: sent, dropped
        self.failures: Counter[str] = Counter()  # tries, by reason
        self.sent_bytes = 0
        self.last_success = 0.0
        self.state = State([], 0, 0)
        self.limit = spool.limit
        self._config = config
        self._spool = spool
        self._bucket = bucket
        self._clock = clock
        self._some = asyncio.Event()  # there is something to send
        self._under_way = ""
        self._row = 0  # failures in a row
        self._full = False  # told so
        self._hidden = False  # the spool cannot be looked into, and that is told
        self._unread: set[str] = set()  # segments that cannot be read, and are told of
        self._tasks: list[asyncio.Task[None]] = []
        self._headers = _headers(config)
        self._suffix = ".log.gz" if config.gzip else ".log"

    def __repr__(self) -> str:
        return f"<Shipping to {self._config} waiting={len(self.state.waiting)} {dict(self.segments)}>"

    def start(self) -> None:
        """Begin to look and to send."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._watch()), loop.create_task(self._send())]

    # --- the spool -------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(PERIOD)

    async def _look(self) -> None:
        try:
            self.state = await asyncio.to_thread(self._spool.look, self._config.logs, self._under_way)
        except OSError as error:
            self._not_seen(_reason(error))
            return
        self._hidden = False
        self._unread &= {one.name.text for one in self.state.waiting}
        self.segments["dropped"] += self.state.dropped
        if self.state.dropped and not self._full:
            log.error("log segments are lost: the spool is full", spool=str(self._spool.directory))
        self._full = bool(self.state.dropped)
        if self.state.waiting:
            self._some.set()

    def _not_seen(self, reason: str) -> None:
        self.failures["spool"] += 1
        if not self._hidden:
            log.error(
                "the spool of log segments cannot be read", spool=str(self._spool.directory), reason=reason
            )
        self._hidden = True

    # --- the bucket ------------------------------------------------------------------------------------------

    async def _send(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            for one in self.state.waiting:
                pause = await self._try(one)
                if pause:
                    await asyncio.sleep(pause)
                    break

    async def _try(self, one: Waiting) -> float:
        """Send a segment; returns for how many seconds to wait, 0 where it is sent."""
        self._under_way = one.name.text
        try:
            if not await self._ship(one):
                return 0.0
        except Exception as error:  # noqa: BLE001  # whatever it is, the segment stays where it is
            told = error if isinstance(error, StoreError) else StoreError(_reason(error), "connection")
            self._failed(told.kind, str(told))
            self._row += 1
            pause = min(FIRST_PAUSE * (1 << min(self._row - 1, 16)), LONGEST_PAUSE)
            pause *= random.uniform(0.5, 1.0)  # noqa: S311  # spread, lest every gateway comes back together
            return max(pause, min(told.after, MOST_ASKED))
        finally:
            self._under_way = ""
        if self._row:
            log.notice("log segments are taken again", bucket=str(self._config))
        self._row = 0
        return 0.0

    async def _ship(self, one: Waiting) -> bool:
        """Send it, and have it leave the spool; false where it cannot be read, which keeps no other one back."""
        try:
            body = await asyncio.to_thread(self._spool.read, one.path, compress=self._config.gzip)
        except OSError as error:
            self._not_read(one, _reason(error))
            return False
        if body is not None:
            key = one.name.key(self._config.prefix, self._suffix)
            await self._bucket.put(key, body.data, self._headers, body.sha256)
            self.segments["sent"] += 1
            self.sent_bytes += len(body.data)
            self.last_success = self._clock.time()
        await asyncio.to_thread(one.path.unlink, missing_ok=True)
        return True

    def _not_read(self, one: Waiting, reason: str) -> None:
        self.failures["spool"] += 1
        if one.name.text not in self._unread:
            log.error("a log segment cannot be read", path=str(one.path), reason=reason)
        self._unread.add(one.name.text)

    def _failed(self, kind: str, reason: str) -> None:
        self.failures[kind] += 1
        if not self._row:
            log.warning("log segments are not taken", bucket=str(self._config), reason=reason)

    # --- the end ---------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Send what there is, each in one try and all within the time that is set; the rest stays for the next start."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.flush_timeout):
                await self._look()
                for one in self.state.waiting:
                    if await self._try(one):
                        break
        await self._bucket.close()
        await self._look()
        if left := len(self.state.waiting):
            log.warning(
                "log segments wait for the next start", segments=left, spool=str(self._spool.directory)
            )


def _headers(config: LogShipping) -> dict[str, str]:
    headers = {"Content-Type": "application/gzip" if config.gzip else "application/x-ndjson"}
    if config.encryption != "none":
        headers["x-amz-server-side-encryption"] = config.encryption
    if config.kms_key_id is not None:
        headers["x-amz-server-side-encryption-aws-kms-key-id"] = config.kms_key_id
    return headers


def _reason(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
