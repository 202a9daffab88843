"""Answers that cannot be completed never look whole."""

from __future__ import annotations

import asyncio

import pytest


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_answer_cut_short_ends_in_a_reset(gateway, origin, raw, version):
    """A client whose answer ends with the connection is told by a reset that it is not whole."""
    seen = asyncio.Event()

    async def script(wire):
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await seen.wait()
        wire.close()

    source = await origin(script)
    proxy = await gateway(source.port)
    client = await raw(proxy.port)
    await client.send(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    await client.until(b"hello")
    seen.set()
    with pytest.raises(ConnectionResetError):  # noqa: PT012  # what came before the reset is read over
        while await asyncio.get_running_loop().sock_recv(client.sock, 4096):
            pass
