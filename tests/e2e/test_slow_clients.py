"""Clients that are slow on purpose, many at a time: a polite one is served, memory stays bounded, the slow are dropped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest
from e2e_command import Running
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE

EACH = 75  # of each kind
PER_CONNECTION = 512 * 1024  # bytes of memory that docs/security.md allows one
LARGE = bytes(8_000_000)  # an answer that fits into no buffer
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def answering(wire):
    """Answer /large at length, switch /socket and echo a message, and answer anything else shortly."""
    with contextlib.suppress(EOFError, TimeoutError, ConnectionError):
        while True:
            start = (await wire.message()).start
            if "/large" in start:
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
                await asyncio.get_running_loop().sock_sendall(wire.sock, LARGE)
            elif "/socket" in start:
                await wire.send(SWITCH)
                await asyncio.get_running_loop().sock_sendall(
                    wire.sock, await asyncio.get_running_loop().sock_recv(wire.sock, 100)
                )
            else:
                await wire.send(OK)
    wire.close()


def resident(process):
    """Return the memory of a process in bytes."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
async def running(origin, tmp_path):
    """Run a gateway as a process of its own, whose memory is its own, with short times."""
    upstream = await origin(answering)
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(config_for(upstream.port)))
    names = ("CLIENT_HEADER_TIMEOUT", "CLIENT_BODY_TIMEOUT", "SEND_TIMEOUT")
    env = {f"PROXYD_{name}": "2" for name in names} | {"PROXYD_WORKER_CONNECTIONS": "1000"}
    one = await Running.start(file, tmp_path, **env)
    yield one
    await one.kill()


async def crowd(raw, port, opening, **options):
    """Open as many connections as there are of a kind, each with the bytes that it begins with."""
    wires = [await raw(port, **options) for _ in range(EACH)]
    for wire in wires:
        await wire.send(opening)
    return wires


async def trickle(wires):
    """Send a header line on each from time to time, and never the last one."""
    while True:
        await asyncio.sleep(0.3)
        for wire in wires:
            with contextlib.suppress(ConnectionError):
                await wire.send(b"X: 1\r\n")


async def aborted(log):
    """Wait until every reader has been given up; a file tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while log.read_text().count('"aborted":true') < EACH:  # noqa: ASYNC110  # a small file
            await asyncio.sleep(0.05)


async def test_slow_clients_leave_a_polite_one_alone(running, raw, tmp_path):
    """Heads, bodies, readers and WebSockets that dawdle cost bounded memory, and are dropped in time, but for WebSockets."""
    polite = await raw(running.port)
    assert (await polite.ask(GET)).status == 200
    before = resident(running.process)
    heads = await crowd(raw, running.port, b"GET / HTTP/1.1\r\nHost: x\r\n")
    bodies = await crowd(raw, running.port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx")
    sockets = await crowd(raw, running.port, HANDSHAKE)
    readers = await crowd(raw, running.port, GET.replace(b"/", b"/large", 1), receive_buffer=4096)
    trickling = asyncio.ensure_future(trickle(heads))
    highest = 0
    for _ in range(100):
        assert (await polite.ask(GET)).body == b"ok"
        highest = max(highest, resident(running.process))
    assert highest - before < 4 * EACH * PER_CONNECTION
    for wire in (*heads, *bodies):
        assert (await wire.rest()).startswith(b"HTTP/1.1 408 ")
    await aborted(tmp_path / "access.log")
    for wire in readers:
        assert len(await wire.rest()) < len(LARGE)
    trickling.cancel()
    await asyncio.gather(trickling, return_exceptions=True)
    for wire in sockets:
        assert (await wire.head()).status == 101
        await wire.send(b"still here")
        assert await wire.exactly(10) == b"still here"
    assert (await polite.ask(GET)).body == b"ok"


async def test_slow_heads_make_room(gateway, origin, raw):
    """With every place taken by clients that never end their heads, those who ask at once are all served."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, worker_connections=40)
    slow = [await raw(proxy.port) for _ in range(40)]
    for wire in slow:
        await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    for _ in range(20):
        polite = await raw(proxy.port)
        assert (await polite.ask(GET)).status == 200
    assert proxy.worker.connections().refused == 0
    assert len(proxy.worker.clients) == 40
    gone = [wire for wire in slow if not await wire.silent(0.01)]
    assert gone == slow[: len(gone)]  # the oldest first
    assert gone


async def test_slow_bodies_keep_their_places_until_their_time_is_over(gateway, origin, raw):
    """A request under way is never cut to make room: a new client is refused until client_body_timeout has freed a place."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, worker_connections=10, client_body_timeout=0.3)
    slow = [await raw(proxy.port) for _ in range(10)]
    for wire in slow:
        await wire.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx")
    await upstream.wire(9)
    refused = await raw(proxy.port)
    assert await refused.rest() == b""
    for wire in slow:
        assert (await wire.rest()).startswith(b"HTTP/1.1 408 ")
    polite = await raw(proxy.port)
    assert (await polite.ask(GET)).status == 200
