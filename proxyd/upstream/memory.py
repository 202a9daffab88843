"""Connections that never leave the process: two transports of which each delivers to the other's protocol.

An application that is mounted in the gateway stands behind such a pair, and is spoken to in HTTP like any other
target. Nothing is delivered while the other side is still writing: every piece, end and loss comes with a later turn
of the loop, as from a socket.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

from proxyd.clock import Clock
from proxyd.upstream.dnsclient import Found, Record
from proxyd.upstream.names import Resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SCHEME = "memory"
HIGH, LOW = 64 * 1024, 16 * 1024  # bytes not yet taken by the other side: asyncio's own water marks

ClientT = TypeVar("ClientT")


class MemoryTransport(asyncio.Transport):
    """One end of a pair. What is written to it, the protocol of the other end receives."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.other: MemoryTransport
        self._loop = loop
        self._protocol: asyncio.BaseProtocol = protocol
        self._waiting: list[bytes] = []  # written here, not yet taken there
        self._size = 0
        self._high, self._low = HIGH, LOW
        self._full = False  # our protocol was told to pause
        self._reading = True
        self.closing = False
        self._ending = False  # no more will be written
        self.heard = False  # by the other side, the end
        self._lost = False
        self._due = False  # a delivery is on its way

    def __repr__(self) -> str:
        state = "lost" if self._lost else "closing" if self.closing else "open"
        return f"<MemoryTransport {state} waiting={self._size}>"

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the protocol at the other end as ``peer``; there is no socket and no address."""
        return self.other.get_protocol() if name == "peer" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that is delivered to."""
        return self._protocol

    # --- writing ---------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Have bytes delivered to the other side; those behind the end are dropped, as by a socket that is gone."""
        if self.closing or self._ending or not data:
            return
        if self.other.closing:  # nobody takes it; who knows that already is reset, as by a socket
            if self.other.heard:
                self.lose(ConnectionResetError("the other side has closed"))
            return
        self._waiting.append(bytes(data))
        self._size += len(data)
        if not self._full and self._size > self._high:
            self._full = True
            self._protocol.pause_writing()
        self.deliver_soon()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Have several pieces delivered."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """End this direction."""
        self._ending = True
        self.deliver_soon()

    def can_write_eof(self) -> bool:
        """Each direction ends for itself."""
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks at which the protocol is told to pause and to go on."""
        self._high = high if high is not None else 4 * low if low is not None else HIGH
        self._low = low if low is not None else self._high // 4

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait to be taken."""
        return self._size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the water marks, the low one first."""
        return self._low, self._high

    # --- reading ---------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether what the other side writes is taken."""
        return self._reading and not self.closing

    def pause_reading(self) -> None:
        """Take no more for now."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on."""
        self._reading = True
        self.other.deliver_soon()

    # --- the end ---------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether nothing that is written now would be taken any more."""
        return self.closing or self.other.closing

    def close(self) -> None:
        """Close, after what was written has been taken; what the other side writes is dropped from now on."""
        if not self.closing:
            self.closing = self._ending = True
            self.other.drop()
            self.deliver_soon()

    def abort(self) -> None:
        """Close at once; the other side sees a reset."""
        if not self._lost:
            self.lose(None)
            self.other.lose(ConnectionResetError("connection reset by peer"))

    def lose(self, error: Exception | None) -> None:
        """Be gone, and tell the protocol."""
        if not self._lost:
            self._lost = self.closing = self._ending = True
            self.drop()
            self._loop.call_soon(self._protocol.connection_lost, error)

    def drop(self) -> None:
        """Forget what the other side has not taken."""
        self._waiting.clear()
        self._size = 0

    # --- delivery --------------------------------------------------------------------------------------------

    def deliver_soon(self) -> None:
        """Deliver with the next turn of the loop."""
        if not self._due and not self._lost:
            self._due = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._due = False
        other = self.other
        if self._waiting and other.is_reading():
            data = b"".join(self._waiting)
            self.drop()
            other.receive(data)
        if self._full and self._size <= self._low and not self.closing:
            self._full = False
            self._protocol.resume_writing()
        if self._waiting or not self._ending or self._lost:
            return
        if not self.heard:
            self.heard = True
            other.hear_end()
        if self.closing:
            self.lose(None)

    def receive(self, data: bytes) -> None:
        """Give our protocol what the other side has written."""
        try:
            self._protocol.data_received(data)  # type: ignore[attr-defined]  # every protocol here is one of bytes
        except Exception as error:  # noqa: BLE001  # the loop's transports end a connection for that too
            message = {"message": "data_received failed", "exception": error, "protocol": self._protocol}
            self._loop.call_exception_handler(message)
            self.abort()

    def hear_end(self) -> None:
        """Tell our protocol that the other side writes no more."""
        if not self.closing and not self._protocol.eof_received():  # type: ignore[attr-defined]
            self.close()


def connect(make_client: Callable[[], ClientT], make_server: Callable[[], asyncio.Protocol]) -> ClientT:
    """Join a client and a server by a pair; returns the client. Needs a running loop."""
    loop = asyncio.get_running_loop()
    client, server = make_client(), make_server()
    # What the gateway connects is a protocol in all but its bases, for mypyc's sake.
    protocol = cast("asyncio.Protocol", client)
    near, far = MemoryTransport(loop, protocol), MemoryTransport(loop, server)
    near.other, far.other = far, near
    server.connection_made(far)
    protocol.connection_made(near)
    return client


class _Known:
    """Every name is the address of what is mounted under it."""

    def known(self, host: str) -> tuple[Record, ...]:
        return (Record(host),)

    async def lookup(self, host: str) -> Found:
        return Found(self.known(host), 3600.0)


def make_names() -> Resolver:
    """Return a resolver that has nothing to ask."""
    return Resolver(_Known(), Clock())
