"""Records to a collector over a plain socket: a stream of lines, or a datagram each, to a host or a local path."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

from proxyd.telemetry.queue import DeliveryError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

FRESH = 60.0  # seconds after which a host's name is looked up again


def place(host: str, port: int) -> str:
    """Write a host and a port as one name."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class StreamSender:
    """Lines over TCP, with TLS where ``tls`` is given. Times in seconds.

    A connection that is kept is not used again once the other side has closed it. What was written before that
    was seen is lost: the protocol knows no acknowledgement.
    """

    def __init__(
        self,
        host: str,
        port: int,
        now: Callable[[], float],
        *,
        timeout: float = 10.0,
        keepalive: float = 60.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._now = now
        self._timeout = timeout
        self._keepalive = keepalive
        self._tls = tls
        self._server_name = server_name
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    def __repr__(self) -> str:
        return f"<StreamSender {place(self._host, self._port)}>"

    async def send(self, batch: list[bytes]) -> None:
        """Write a line for each; raises DeliveryError."""
        try:
            async with asyncio.timeout(self._timeout):
                writer = await self._connected()
                writer.write(b"\n".join([*batch, b""]))
                await writer.drain()
        except TimeoutError:
            self._drop()
            raise DeliveryError(f"not taken within {self._timeout:g} s") from None
        except OSError as error:
            self._drop()
            raise DeliveryError(str(error)) from error
        self._used = self._now()

    async def _connected(self) -> asyncio.StreamWriter:
        if self._streams is not None:
            reader, writer = self._streams
            idle = self._now() - self._used
            if not reader.at_eof() and not writer.is_closing() and idle < self._keepalive:
                return writer
            self._drop()
        name = (self._server_name or self._host) if self._tls is not None else None
        self._streams = await asyncio.open_connection(
            self._host, self._port, ssl=self._tls, server_hostname=name
        )
        writer = self._streams[1]
        writer.transport.set_write_buffer_limits(high=0)  # drain until the system has it all
        return writer

    def _drop(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()

    async def close(self) -> None:
        """Close the connection, behind what was written."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            try:
                async with asyncio.timeout(1.0):
                    await streams[1].wait_closed()
            except (OSError, TimeoutError):
                streams[1].transport.abort()


class DatagramSender:
    """A datagram for each entry, to a host and port, or to a local socket's path.

    A failure is told as long as nothing of a batch is out: trying again would send the rest of it twice.
    """

    def __init__(self, address: tuple[str, int] | str, now: Callable[[], float]) -> None:
        self._address = address
        self._now = now
        self._socket: socket.socket | None = None
        self._opened = 0.0

    def __repr__(self) -> str:
        return f"<DatagramSender {self._address}>"

    async def send(self, batch: list[bytes]) -> None:
        """Send a datagram for each; raises DeliveryError."""
        for number, entry in enumerate(batch):
            try:
                (await self._open()).send(entry)
            except OSError as error:
                self._drop()
                again = not number and error.errno != errno.EMSGSIZE
                raise DeliveryError(error.strerror or str(error), again=again) from error
        await asyncio.sleep(0)  # a long row of them lets others through

    async def _open(self) -> socket.socket:
        if self._socket is not None:
            if isinstance(self._address, str) or self._now() - self._opened < FRESH:
                return self._socket
            self._drop()
        family, address = await self._where()
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.connect(address)
        except OSError:
            opened.close()
            raise
        self._socket, self._opened = opened, self._now()
        return opened

    async def _where(self) -> tuple[int, tuple[str, int] | str]:
        if isinstance(self._address, str):
            return socket.AF_UNIX, self._address
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        return family, address  # type: ignore[return-value]  # an address of either family connects

    def _drop(self) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()

    async def close(self) -> None:
        """Close the socket."""
        self._drop()
