"""Something that accepts connections, and completes a TLS handshake where that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from proxyd.health.look import context_of

if TYPE_CHECKING:
    from proxyd.health.look import Around
    from proxyd.model.indicators import Tcp

FAREWELL = 0.2  # seconds that the other side gets to answer the end of TLS, which not everybody does


class TcpLook:
    """Connects and hangs up."""

    def __init__(self, config: Tcp) -> None:
        self._host, self._port = config.host, config.port
        self._tls = context_of(config.tls) if config.tls is not None else None

    def __repr__(self) -> str:
        return f"<TcpLook {self._host}:{self._port}>"

    async def look(self) -> dict[str, Any]:
        """Connect."""
        _, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        writer.close()
        try:
            async with asyncio.timeout(FAREWELL):
                with contextlib.suppress(OSError):  # it was there
                    await writer.wait_closed()
        except TimeoutError:
            writer.transport.abort()
        return {}

    async def close(self) -> None:
        """Nothing is kept."""


def make(config: Tcp, _around: Around) -> TcpLook:
    """Set it up; raises TlsError."""
    return TcpLook(config)
