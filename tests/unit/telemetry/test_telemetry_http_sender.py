"""What is told of a collector that answers with something else than HTTP."""

from __future__ import annotations

import asyncio

import pytest

from proxyd.telemetry.http_sender import HttpSender, HttpTarget
from proxyd.telemetry.queue import DeliveryError


async def test_a_malformed_answer_is_told_without_the_address():
    """The address of a collector may hold a key, and its answer anything."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 no status\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = HttpSender(HttpTarget(f"http://127.0.0.1:{port}/in?api_key=kept-secret"), None)
    try:
        with pytest.raises(DeliveryError) as caught:
            await sender.send([b"{}"])
    finally:
        await sender.close()
        server.close()
        await server.wait_closed()
    assert str(caught.value) == "answered with what is not HTTP"
