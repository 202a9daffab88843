"""The access log: exchanges are noted when they end and written in batches, off the request path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.telemetry.access_line import access_line
from proxyd.telemetry.events import get_logger
from proxyd.telemetry.noted import Noted
from proxyd.telemetry.redact import Redactor
from proxyd.telemetry.writer import PAUSE, LineWriter

if TYPE_CHECKING:
    import asyncio

    from proxyd.clock import Clock
    from proxyd.exchange import Exchange
    from proxyd.telemetry.segments import SegmentWriter


class AccessLog:
    """Takes finished exchanges and hands their lines to a writer.

    Lines are made later, as ``Noted`` says; beyond its limit, and where the writer is full, lines are dropped
    and counted. ``segments`` are those that are shipped elsewhere.
    """

    __slots__ = ("_clock", "_noted", "_redactor", "_segments", "_writer", "note")

    def __init__(
        self,
        writer: LineWriter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        redactor: Redactor | None = None,
        segments: SegmentWriter | None = None,
    ) -> None:
        self._writer = writer
        self._segments = segments
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._noted = Noted(self._write, loop)
        self.note = self._noted.note

    def __repr__(self) -> str:
        return f"<AccessLog {self._writer.destination} noted={len(self._noted)} dropped={self.dropped}>"

    @property
    def dropped(self) -> int:
        """Lines that were never written."""
        shipped = self._segments.dropped if self._segments is not None else 0
        return self._noted.dropped + self._writer.dropped + shipped

    def _write(self, batch: list[Exchange]) -> None:
        wall = self._clock.time() - self._clock.now()
        lines = [access_line(exchange, wall, self._redactor) for exchange in batch]
        text = b"".join(lines)
        self._writer.write(text, len(lines))
        if self._segments is not None:
            self._segments.write(text, len(lines))

    def reopen(self) -> None:
        """Go on in a new file of the same name, after rotation."""
        self._noted.flush()
        self._writer.reopen()

    def close(self) -> bool:
        """Write what is noted; false when the writer could not keep up."""
        self._noted.close()
        fine = self._segments is None or self._segments.close()
        return self._writer.close() and fine


def open_access_log(
    destination: str,
    clock: Clock,
    loop: asyncio.AbstractEventLoop,
    redactor: Redactor | None = None,
    segments: SegmentWriter | None = None,
) -> AccessLog | None:
    """Return the log that ``proxy_access_log`` asks for; raises ConfigError.

    For ``off``, that is the one of ``segments``, and None without.
    """
    if destination == "off":
        return AccessLog(segments, clock, loop, redactor) if segments is not None else None
    log = get_logger("access_log")

    def failed(error: OSError) -> None:
        log.error("access lines are being lost", destination=destination, reason=error.strerror)

    return AccessLog(
        LineWriter(destination, "proxy_access_log", pause=PAUSE, failed=failed),
        clock,
        loop,
        redactor,
        segments,
    )
