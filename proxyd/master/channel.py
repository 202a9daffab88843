"""The way between a master and one worker: messages over a socket pair, and answers to what was asked.

Each side hands in ``handle``, which is called with what the other one says by itself. It ends with either process,
however that dies: ``ended`` is set then, and whoever waits for an answer gets a ChannelError.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, cast

from proxyd.master.messages import Message, MessageError, Reader, encode
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Handle = Callable[[dict[str, Any], bytes], None]

log = get_logger("master")


class ChannelError(Exception):
    """There is no answer, and there will be none; the text says why."""


class Channel(asyncio.Protocol):
    """One end. ``ask`` waits for the answer, ``tell`` does not; both are harmless behind the end."""

    def __init__(self, handle: Handle) -> None:
        self.ended = asyncio.Event()
        self._handle = handle
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._last = 0

    def __repr__(self) -> str:
        return f"<Channel {'ended' if self.ended.is_set() else 'open'} asked={len(self._asked)}>"

    @classmethod
    async def over(cls, sock: socket.socket, handle: Handle) -> Self:
        """Return the channel over one end of a socket pair, which it closes at its end."""
        _, channel = await asyncio.get_running_loop().create_connection(lambda: cls(handle), sock=sock)
        return channel

    # --- saying ----------------------------------------------------------------------------------------------

    def tell(self, what: str, attached: bytes = b"", **values: Any) -> None:
        """Say something that needs no answer."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode({"what": what, **values}, attached))

    async def ask(self, what: str, attached: bytes = b"", *, within: float, **values: Any) -> Message:
        """Say something and return the answer; raises ChannelError without one ``within`` seconds."""
        if self.ended.is_set():
            raise ChannelError("it has ended")
        self._last += 1
        number = self._last
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self.tell(what, attached, ask=number, **values)
        try:
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            raise ChannelError(f"no answer in {within:g} seconds") from None
        finally:
            del self._asked[number]

    def answer(self, message: dict[str, Any], attached: bytes = b"", **values: Any) -> None:
        """Answer what was asked by ``message``."""
        self.tell("answer", attached, to=message["ask"], **values)

    # --- hearing ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hear what the other side says."""
        try:
            for message, attached in self._reader.feed(data):
                self._hear(message, attached)
        except MessageError as error:
            log.crit("master and worker do not understand each other", reason=str(error))
            self.close()

    def _hear(self, message: dict[str, Any], attached: bytes) -> None:
        if message.get("what") != "answer":
            self._handle(message, attached)
            return
        waiting = self._asked.get(message.get("to", 0))
        if waiting is not None and not waiting.done():
            waiting.set_result((message, attached))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # either way it is the end
        """End: the other process is gone, or this one has hung up."""
        self.ended.set()
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(ChannelError("it has ended"))

    def close(self) -> None:
        """Hang up, behind what was said so far."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Hang up without what nobody has read yet."""
        if self._transport is not None:
            self._transport.abort()
