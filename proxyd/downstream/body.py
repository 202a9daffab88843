"""A request's body read whole, for the plugins that ask for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from proxyd.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.exchange import Exchange


class Collector:
    """Takes a body and keeps it, up to a limit in bytes; ``future`` holds it, or a ProtocolError."""

    __slots__ = ("_began", "_exchange", "_left", "_now", "_pieces", "future")

    def __init__(self, limit: int, exchange: Exchange, now: Callable[[], float]) -> None:
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._exchange = exchange
        self._now = now
        self._began = now()
        self._left = limit
        self._pieces: list[bytes] = []

    def body_data(self, data: bytes) -> None:
        """Keep a piece, or refuse the body when it gets too large."""
        self._left -= len(data)
        if self._left < 0:
            self.body_failed(ProtocolError("body larger than a plugin reads", 413))
        else:
            self._pieces.append(data)

    def body_end(self, trailers: bytes) -> None:
        """Hand the body over; trailers of a buffered body are dropped."""
        del trailers
        if not self.future.done():
            body = b"".join(self._pieces)
            self._exchange.buffered = body
            self._exchange.body_waited += self._now() - self._began
            self.future.set_result(body)

    def body_failed(self, error: ProtocolError) -> None:
        """Hand the failure over."""
        if not self.future.done():
            self.future.set_exception(error)
