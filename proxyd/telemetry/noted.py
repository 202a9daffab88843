"""Finished exchanges, noted while their requests end and worked off in batches, off the request path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from proxyd.exchange import Exchange

DELAY: Final = 0.1  # seconds from the first noted exchange to its line
SLICE: Final = (
    32  # exchanges worked off at once: a fraction of a millisecond, so that no request waits long behind them
)
LIMIT: Final = 20_000  # exchanges that may wait


class Noted:
    """Takes finished exchanges and hands them to ``take``, in their order.

    An exchange costs one ``append`` while its request is being ended. ``take`` is called ``DELAY`` seconds later, or
    in the next turn of the loop once a ``SLICE`` has come together: thousands that wait would have left the
    processor's cache when their turn comes, and what they hold is memory that the requests behind them have to do
    without. Beyond ``LIMIT`` waiting ones, exchanges are dropped and counted.
    """

    __slots__ = ("_handle", "_loop", "_noted", "_take", "dropped")

    def __init__(self, take: Callable[[list[Exchange]], None], loop: asyncio.AbstractEventLoop) -> None:
        self.dropped = 0
        self._take = take
        self._loop = loop
        self._noted: list[Exchange] = []
        self._handle: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._noted)

    def __repr__(self) -> str:
        return f"<Noted {len(self._noted)} dropped={self.dropped}>"

    def note(self, exchange: Exchange) -> None:
        """Take an exchange that is over; it must not change any more."""
        noted = self._noted
        count = len(noted)
        if count >= LIMIT:
            self.dropped += 1
            return
        noted.append(exchange)
        if not count:
            self._handle = self._loop.call_later(DELAY, self._flush)
        elif count == SLICE - 1:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        try:
            self._hand(SLICE)
        finally:
            self._handle = self._loop.call_soon(self._flush) if self._noted else None

    def _hand(self, count: int) -> None:
        batch, self._noted = self._noted[:count], self._noted[count:]
        if batch:
            self._take(batch)

    def flush(self) -> None:
        """Hand over everything now."""
        self._hand(len(self._noted))

    def close(self) -> None:
        """Hand over everything, and set no timer any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self.flush()
