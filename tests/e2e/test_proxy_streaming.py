"""Bodies pass as they come, in constant memory, and whoever is slow slows the other side down."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest
from e2e_gateway import config_for

MEGABYTE = 1 << 20
LARGE = 64 * MEGABYTE
GROWTH = 24 * MEGABYTE  # of the whole process, both ends included
STALLED = 0.3  # seconds without progress


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watch:
    """How much a transfer has moved, and the most that the process grew meanwhile."""

    def __init__(self):
        self.moved = 0
        self.before = resident()
        self.growth = 0

    def __call__(self, count):
        if self.moved // MEGABYTE != (self.moved + count) // MEGABYTE:
            self.growth = max(self.growth, resident() - self.before)
        self.moved += count

    async def stall(self):
        """Return what has been moved when nothing moves any more."""
        moved = -1
        while moved != self.moved:
            moved = self.moved
            await asyncio.sleep(STALLED)
        return moved


async def pour(wire, count, watch=None, block=bytes(64 * 1024)):
    while count > 0:
        piece = block[:count]
        await wire.send(piece)
        count -= len(piece)
        if watch is not None:
            watch(len(piece))


# --- large bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked", "until-close"])
async def test_a_large_download_takes_no_memory(gateway, origin, raw, framing):
    """64 MB come down, however they are framed, while the process hardly grows."""

    async def script(wire):
        await wire.message()
        if framing == "length":
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
            await pour(wire, LARGE)
        elif framing == "until-close":
            await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
            await pour(wire, LARGE)
            wire.close()
        else:
            await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(LARGE // MEGABYTE):
                await wire.send(b"100000\r\n", bytes(MEGABYTE), b"\r\n")
            await wire.send(b"0\r\n\r\n")

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    watch = Watch()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await client.head()
    await client.discard(LARGE, watch)
    assert ("content-length" in head) == (framing == "length")
    assert watch.growth < GROWTH


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_large_upload_takes_no_memory(gateway, origin, raw, framing):
    """64 MB go up while the process hardly grows, and arrive framed as they were sent."""
    watch = Watch()
    heads = []

    async def script(wire):
        heads.append(await wire.head())
        await wire.discard(LARGE, watch)
        await wire.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    upstream = await origin(script)
    proxy = await gateway(upstream.port, client_max_body_size="0")
    client = await raw(proxy.port)
    if framing == "length":
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % LARGE)
        await pour(client, LARGE)
    else:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(LARGE // MEGABYTE):
            await client.send(b"100000\r\n", bytes(MEGABYTE), b"\r\n")
    answer = await client.message()
    assert answer.status == 201
    assert ("content-length" in heads[0]) == (framing == "length")
    assert watch.growth < GROWTH


async def test_a_download_keeps_every_byte(gateway, backend, raw):
    """What arrives is what was sent, byte for byte, and is counted in the access line."""
    proxy = await gateway(backend.port)
    client = await raw(proxy.port)
    answer = await client.ask(b"GET /download?bytes=3000001&chunked=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    expected = (bytes(range(256)) * 11719)[:3000001]
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(expected).digest()
    (line,) = await proxy.log_lines()
    assert line["bytes_sent"] == 3000001


# --- who is slow -------------------------------------------------------------------------------------------------


async def test_a_client_that_does_not_read_stops_the_origin(gateway, origin, raw):
    """The origin is held up long before the whole answer is out, and goes on when the client does."""
    watch = Watch()

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        await pour(wire, LARGE, watch)

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port, receive_buffer=32 * 1024)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.head()
    assert await watch.stall() < LARGE // 2
    await client.discard(LARGE)
    assert watch.moved == LARGE
    assert watch.growth < GROWTH


async def test_an_origin_that_does_not_read_stops_the_client(gateway, origin, raw):
    """The client is held up long before its whole body is out, and goes on when the origin does."""
    watch = Watch()
    reading = asyncio.Event()

    async def script(wire):
        await wire.head()
        await reading.wait()
        await wire.discard(LARGE)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream = await origin(script, receive_buffer=32 * 1024)
    proxy = await gateway(upstream.port, client_max_body_size="0")
    client = await raw(proxy.port)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % LARGE)
    pouring = asyncio.ensure_future(pour(client, LARGE, watch))
    assert await watch.stall() < LARGE // 2
    reading.set()
    await pouring
    assert (await client.message()).status == 200
    assert watch.growth < GROWTH


async def test_a_slow_client_is_not_the_upstreams_fault(gateway, origin, raw):
    """A client that pauses for longer than the read timeout still gets the whole answer."""

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        await pour(wire, LARGE)

    upstream = await origin(script)
    proxy = await gateway(config_for(upstream.port, service={"read_timeout": 300}))
    client = await raw(proxy.port, receive_buffer=32 * 1024)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.head()
    await asyncio.sleep(0.7)  # more than twice the read timeout
    await client.discard(LARGE)
    (line,) = await proxy.log_lines()
    assert (line["aborted"], line["error"], line["bytes_sent"]) == (False, None, LARGE)


# --- as it arrives -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["chunked", "length", "until-close"])
async def test_every_piece_is_forwarded_as_it_arrives(gateway, origin, raw, framing):
    """The client has each piece before the origin sends the next: nothing waits for more."""
    go = asyncio.Queue()
    pieces = [b"data: one\n\n", b"data: two\n\n", b"data: 3\n\n"]

    async def script(wire):
        await wire.message()
        length = sum(map(len, pieces))
        framed = {
            "chunked": b"Transfer-Encoding: chunked\r\n",
            "length": b"Content-Length: %d\r\n" % length,
            "until-close": b"",
        }[framing]
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n" % framed)
        for piece in pieces:
            await go.get()
            await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        await go.get()
        await wire.send(b"0\r\n\r\n" if framing == "chunked" else b"")
        wire.close()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    if framing != "length":
        await client.head()  # comes before any of the body has
    for piece in pieces:
        go.put_nowait(None)
        await client.until(piece)
    go.put_nowait(None)
    if framing != "length":
        await client.until(b"0\r\n\r\n")


async def test_the_head_of_a_long_body_does_not_wait_for_it(gateway, origin, raw):
    """A head with a Content-Length is with the client before the body begins."""
    go = asyncio.Event()

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await go.wait()
        await wire.send(b"body")

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.head()).status == 200
    go.set()
    assert await client.exactly(4) == b"body"


async def test_a_request_body_is_forwarded_as_it_arrives(gateway, origin, raw):
    """The origin has each piece of a body before the client sends the next."""
    arrived = asyncio.Queue()

    async def script(wire):
        await wire.head()
        for piece in (b"one", b"two", b"three"):
            await wire.until(piece)
            arrived.put_nowait(piece)
        await wire.until(b"0\r\n\r\n")
        await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b"one", b"two", b"three"):
        await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert await asyncio.wait_for(arrived.get(), 5) == piece
    await client.send(b"0\r\n\r\n")
    assert (await client.message()).status == 204


async def test_server_sent_events_come_one_by_one(gateway, backend, raw):
    """The demo backend's events arrive while it goes on sending."""
    proxy = await gateway(backend.port)
    client = await raw(proxy.port)
    await client.send(b"GET /events?n=3&interval=0.05 HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await client.head()
    assert head["content-type"].startswith("text/event-stream")
    for number in (1, 2, 3):
        assert b"id: %d\n" % number in await client.until(b"\n\n")


# --- both ways at once -------------------------------------------------------------------------------------------


async def test_both_bodies_flow_at_once(gateway, backend, raw):
    """An echo of 8 MB runs in full duplex: the answer is read while the request is still being written."""
    size = 8 * MEGABYTE
    proxy = await gateway(backend.port, client_max_body_size="0")
    client = await raw(proxy.port)
    await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    pouring = asyncio.ensure_future(pour(client, size))
    assert (await client.head()).status == 200
    await client.discard(size)
    await pouring
    (line,) = await proxy.log_lines()
    assert (line["bytes_received"], line["bytes_sent"]) == (size, size)


async def test_an_answer_may_come_before_the_body_is_whole(gateway, origin, raw):
    """An early refusal reaches the client, with a body of the request unread, and the connection is closed."""

    async def script(wire):
        await wire.head()
        await wire.send(
            b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"
        )
        wire.half_close()
        await wire.rest()

    upstream = await origin(script)
    proxy = await gateway(upstream.port, client_max_body_size="0")
    client = await raw(proxy.port)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\npart")
    answer = await client.message()
    assert (answer.status, answer.body) == (413, b"big")
    assert await client.rest() == b""


async def test_an_early_answer_ends_the_connection_of_its_request(gateway, origin, raw):
    """The rest of a body behind an early answer is read over and not taken for a request."""

    async def early(wire):
        await wire.until(b"half")
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
        await wire.rest()

    upstream = await origin(early)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 43\r\n\r\nhalf")
    assert (await client.message()).body == b"early"
    await client.send(b"GET /not-a-request HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await client.rest() == b""
    assert (await upstream.wire()).received.endswith(b"half")
    assert [line["path"] for line in await proxy.log_lines()] == ["/early"]


async def test_an_upstream_connection_with_half_a_request_is_not_used_again(gateway, origin, raw):
    """After an early answer the upstream connection is closed, not lent to the next request."""

    async def script(wire):
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await wire.rest()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfive!")
    assert (await client.message()).status == 200
    assert (await (await raw(proxy.port)).ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200
    assert len(upstream.wires) == 2


# --- somebody leaves ---------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_releases_the_upstream(gateway, origin, raw):
    """A client gone before the answer is logged as 499, and its upstream connection is closed."""
    upstream = await origin(lambda wire: wire.rest())
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    wire = await upstream.wire()
    client.reset()
    (line,) = await proxy.log_lines()
    assert (line["status"], line["aborted"], line["upstream_status"]) == (499, True, None)
    assert b"GET /slow" in await wire.rest() + wire.received
    assert len(proxy.worker.clients) == 0


@pytest.mark.parametrize("leave", ["reset", "close"])
async def test_a_client_that_leaves_during_the_answer_releases_the_upstream(gateway, origin, raw, leave):
    """The origin's connection ends with the client's, and the line keeps the status that was sent."""
    cut = asyncio.Event()

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await wire.rest()
        cut.set()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.until(b"hello")
    getattr(client, leave)()
    await asyncio.wait_for(cut.wait(), 5)
    (line,) = await proxy.log_lines()
    assert (line["status"], line["aborted"], line["bytes_sent"]) == (200, True, 5)


async def test_a_client_that_leaves_in_its_upload_releases_the_upstream(gateway, origin, raw):
    """Half a body and a close are a 499, and the origin sees the end of the stream instead of a full request."""
    received = asyncio.Queue()

    async def script(wire):
        await wire.head()
        received.put_nowait(await wire.rest())

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    await upstream.wire()
    client.close()
    assert await asyncio.wait_for(received.get(), 5) == b"half"
    (line,) = await proxy.log_lines()
    assert (line["status"], line["aborted"]) == (499, True)


async def test_a_client_may_close_its_half_after_its_last_request(gateway, origin, raw):
    """A request with Connection: close and a half-closed socket is answered in full."""
    go = asyncio.Event()

    async def script(wire):
        await wire.message()
        await go.wait()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    client.half_close()
    await upstream.wire()
    go.set()
    answer = await client.message()
    assert (answer.body, answer["connection"]) == (b"hello", "close")
    assert await client.rest() == b""


async def test_an_answer_cut_short_is_cut_short_for_the_client(gateway, origin, raw):
    """A truncated answer never looks whole: the client's connection ends without the rest, and it is logged."""

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        wire.reset()

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.rest()).endswith(b"\r\n\r\n5\r\nhello\r\n")
    (line,) = await proxy.log_lines()
    assert (line["status"], line["aborted"], line["error"]) == (200, True, "bad_response")


async def test_pipelined_requests_wait_for_a_client_that_does_not_read(gateway, origin, raw):
    """Answers that nobody takes hold the requests behind them back, whose connections serve others meanwhile."""
    body = bytes(200_000)  # arrives in one piece
    asked = 60
    upstream = await origin(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    proxy = await gateway(upstream.port)
    slow = await raw(proxy.port, receive_buffer=4096)
    await slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
    served = -1
    while served != len(upstream.requests):
        served = len(upstream.requests)
        await asyncio.sleep(STALLED)
    assert 0 < served < asked
    other = await raw(proxy.port)
    for _ in range(3):  # over the very connection that was paused
        assert len((await other.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).body) == len(body)
    for _ in range(asked):
        assert len((await slow.message()).body) == len(body)
    assert len(await proxy.log_lines(asked + 3)) == asked + 3
