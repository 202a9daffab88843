"""The access log: exchanges are noted when they end and written in batches, off the request path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.telemetry.access_line import access_line
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.redact import Redactor
from proxyd.telemetry.writer import LineWriter

if TYPE_CHECKING:
    import asyncio

    from proxyd.clock import Clock
    from proxyd.exchange import Exchange

DELAY = 0.1  # seconds from the first noted exchange to its line
SLICE = 100  # lines made at once: under a millisecond, so that no request waits long behind them
LIMIT = 20_000  # exchanges that may wait for their lines


class AccessLog:
    """Takes finished exchanges and hands their lines to a writer.

    An exchange costs one ``append`` while its request is being ended. Lines are made ``DELAY`` seconds later,
    a ``SLICE`` per turn of the loop; beyond ``LIMIT`` waiting ones, and where the writer is full, lines are
    dropped and counted.
    """

    __slots__ = ("_clock", "_dropped", "_handle", "_loop", "_noted", "_redactor", "_writer")

    def __init__(
        self,
        writer: LineWriter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        redactor: Redactor | None = None,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._loop = loop
        self._redactor = redactor or Redactor()
        self._noted: list[Exchange] = []
        self._dropped = 0
        self._handle: asyncio.Handle | None = None

    def __repr__(self) -> str:
        return f"<AccessLog {self._writer.destination} noted={len(self._noted)} dropped={self.dropped}>"

    @property
    def dropped(self) -> int:
        """Lines that were never written."""
        return self._dropped + self._writer.dropped

    def note(self, exchange: Exchange) -> None:
        """Take an exchange that is over; it must not change any more."""
        noted = self._noted
        if len(noted) < LIMIT:
            noted.append(exchange)
            if self._handle is None:
                self._handle = self._loop.call_later(DELAY, self._flush)
        else:
            self._dropped += 1

    def _flush(self) -> None:
        self._write(SLICE)
        self._handle = self._loop.call_soon(self._flush) if self._noted else None

    def _write(self, count: int) -> None:
        batch, self._noted = self._noted[:count], self._noted[count:]
        if batch:
            wall = self._clock.time() - self._clock.now()
            lines = [access_line(exchange, wall, self._redactor) for exchange in batch]
            self._writer.write(b"".join(lines), len(lines))

    def reopen(self) -> None:
        """Go on in a new file of the same name, after rotation."""
        self._write(len(self._noted))
        self._writer.reopen()

    def close(self) -> bool:
        """Write what is noted; false when the writer could not keep up."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._write(len(self._noted))
        return self._writer.close()


def open_access_log(
    destination: str, clock: Clock, loop: asyncio.AbstractEventLoop, redactor: Redactor | None = None
) -> AccessLog | None:
    """Return the log that ``proxy_access_log`` asks for, None for ``off``; raises ConfigError."""
    if destination == "off":
        return None
    log = get_logger("access_log")

    def failed(error: OSError) -> None:
        log.error("access lines are being lost", destination=destination, reason=error.strerror)

    return AccessLog(LineWriter(destination, "proxy_access_log", failed=failed), clock, loop, redactor)
