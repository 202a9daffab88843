"""What a client may take: bytes, lines, time and connections. Each limit is set small and run into."""

from __future__ import annotations

import asyncio

import pytest
from e2e_gateway import config_for
from e2e_wire import OK

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT = 0.15  # seconds: a timeout that a test waits for


@pytest.fixture
async def start(gateway, origin, raw):
    """Give what starts a gateway with settings before an origin, and a client of it."""

    async def begin(answer=OK, **settings):
        upstream = await origin(answer)
        proxy = await gateway(upstream.port, **settings)
        return upstream, proxy, await raw(proxy.port)

    return begin


async def refused(client, status):
    """Take a refusal: its status, and the end of the connection behind it."""
    answer = await client.message()
    assert (answer.status, answer["connection"]) == (status, "close")
    assert await client.rest() == b""


# --- the head ----------------------------------------------------------------------------------------------------


async def test_a_request_line_has_a_longest_length(start):
    """One byte over client_max_request_line is a 414, the limit itself is served."""
    upstream, _, client = await start(client_max_request_line=200)
    line = b"GET /%b HTTP/1.1\r\n"
    fill = 200 - len(line % b"")
    assert (await client.ask(line % (b"a" * fill) + b"Host: x\r\n\r\n")).status == 200
    await client.send(line % (b"a" * (fill + 1)) + b"Host: x\r\n\r\n")
    await refused(client, 414)
    assert len(upstream.requests) == 1


async def test_a_request_line_without_an_end_is_refused_at_the_limit(start):
    """Nobody waits for the end of a line that is too long already."""
    _, _, client = await start(client_max_request_line=200)
    await client.send(b"GET /" + b"a" * 300)
    await refused(client, 414)


async def test_a_head_has_a_largest_size(start):
    """A head over client_max_header_size is a 431."""
    upstream, _, client = await start(client_max_header_size=1000)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1000 + b"\r\n\r\n")
    await refused(client, 431)
    assert upstream.wires == []


async def test_a_head_without_an_end_is_refused_at_the_limit(start):
    """A head that grows for ever is a 431 as soon as it is too large."""
    _, _, client = await start(client_max_header_size=1000)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: " + b"a" * 1000)
    await refused(client, 431)


async def test_header_fields_have_a_largest_number(start):
    """A line over client_max_header_count is a 431, the limit itself is served."""
    _, _, client = await start(client_max_header_count=10)
    lines = [b"X-%d: 1\r\n" % number for number in range(10)]
    head = b"GET / HTTP/1.1\r\nHost: x\r\n"
    assert (await client.ask(head + b"".join(lines[:9]) + b"\r\n")).status == 200
    await client.send(head + b"".join(lines) + b"\r\n")
    await refused(client, 431)


async def test_the_defaults_are_no_looser_than_nginx(start):
    """8 KiB of a request line, 32 KiB of a head and 100 fields pass; one beyond does not."""
    _, proxy, _ = await start()
    settings = proxy.worker.settings
    limits = (
        settings.client_max_request_line,
        settings.client_max_header_size,
        settings.client_max_header_count,
    )
    assert limits == (8192, 32768, 100)


# --- the body ----------------------------------------------------------------------------------------------------


async def test_an_announced_body_over_the_limit_is_refused_unread(start):
    """Content-Length over client_max_body_size is a 413, and the origin hears nothing of it."""
    upstream, proxy, client = await start(client_max_body_size=1000)
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    assert (await client.ask(post % (1000, bytes(1000)))).status == 200
    await client.send(post % (1001, bytes(500)))
    await refused(client, 413)
    assert len(upstream.requests) == 1
    line = (await proxy.log_lines(2))[1]
    assert (line["status"], line["error_cause"]) == (413, "Content-Length over client_max_body_size")


async def test_a_chunked_body_is_counted_as_it_comes(start):
    """A chunked body that grows over the limit is a 413, and its upstream connection is given up."""
    upstream, proxy, client = await start(client_max_body_size=1000)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200\r\n" + bytes(512))
    await upstream.wire()
    await client.send(b"\r\n200\r\n" + bytes(512) + b"\r\n0\r\n\r\n")
    await refused(client, 413)
    assert upstream.requests == []
    (line,) = await proxy.log_lines()
    assert (line["status"], line["error_cause"]) == (413, "body over client_max_body_size")


async def test_a_client_that_still_sends_gets_to_read_its_refusal(start):
    """A refused upload is read over for a while: the answer is not overtaken by a reset."""
    _, _, client = await start(client_max_body_size=1000)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
    for _ in range(20):
        await client.send(bytes(10_000))
        await asyncio.sleep(0)
    assert (await client.message()).status == 413


async def test_a_client_that_never_stops_sending_is_cut(start):
    """What is read over of a refused upload is limited too."""
    _, proxy, client = await start(client_max_body_size=1000, lingering_timeout=SHORT)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n")
    with pytest.raises(ConnectionError):
        await client.send(*[bytes(100_000)] * 1000)
    assert len(proxy.worker.clients) == 0


async def test_no_limit_on_the_body_is_none(start):
    """client_max_body_size of 0 lets a body of any size pass."""
    upstream, _, client = await start(client_max_body_size=0)
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
    assert (await client.ask(post % (2_000_000, bytes(2_000_000)))).status == 200
    assert len(upstream.requests[0].body) == 2_000_000


# --- time --------------------------------------------------------------------------------------------------------


async def test_a_head_that_does_not_end_in_time_is_refused(start):
    """A client that trickles its head is a 408, however often it sends a byte."""
    _, proxy, client = await start(client_header_timeout=SHORT)

    async def trickle():
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n", *[b"X: 1\r\n"] * 1000, pause=0.02)

    trickling = asyncio.ensure_future(trickle())
    answer = await client.message()
    trickling.cancel()
    await asyncio.gather(trickling, return_exceptions=True)
    assert answer.status == 408
    (line,) = await proxy.log_lines()
    assert (line["status"], line["error_cause"]) == (408, "head not complete in time")


async def test_a_second_head_that_does_not_end_in_time_is_refused(start):
    """The time for a head runs anew for each request of a connection."""
    _, _, client = await start(client_header_timeout=SHORT)
    assert (await client.ask(GET)).status == 200
    await client.send(b"GET / HTT")
    await refused(client, 408)


async def test_a_connection_on_which_nothing_comes_is_closed(start):
    """Without a byte of a head, there is nothing to answer."""
    _, proxy, client = await start(client_header_timeout=SHORT)
    assert await client.rest() == b""
    assert len(proxy.worker.clients) == 0


async def test_a_body_that_stops_is_refused(start):
    """No byte of a body for client_body_timeout is a 408, and the origin's connection ends without the rest."""
    upstream, proxy, client = await start(client_body_timeout=SHORT)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
    await refused(client, 408)
    assert upstream.requests == []
    (line,) = await proxy.log_lines()
    assert (line["status"], line["error_cause"]) == (408, "body not complete in time")


async def test_a_slow_body_that_goes_on_is_served(start):
    """client_body_timeout is between two pieces, not for the whole body."""
    _, _, client = await start(client_body_timeout=0.3)
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", *[b"x"] * 10, pause=0.06)
    assert (await client.message()).status == 200


async def test_a_slow_origin_is_not_the_clients_fault(start):
    """While the answer is waited for, none of the client's timeouts runs."""

    async def script(wire):
        await wire.message()
        await asyncio.sleep(3 * SHORT)
        await wire.send(OK)

    _, _, client = await start(
        script,
        client_body_timeout=SHORT,
        client_header_timeout=SHORT,
        keepalive_timeout=SHORT,
        send_timeout=SHORT,
    )
    answer = await client.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
    assert answer.status == 200


async def test_a_client_that_does_not_read_is_cut(start):
    """An answer that nobody takes for send_timeout ends the connection, and is logged as aborted."""

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n")
        while True:
            await wire.send(bytes(64_000))

    _, proxy, client = await start(script, send_timeout=SHORT)
    await client.send(GET)
    (line,) = await proxy.log_lines()
    assert (line["status"], line["aborted"]) == (200, True)
    assert line["bytes_sent"] < 64_000_000
    assert len(proxy.worker.clients) == 0


async def test_a_client_that_reads_slowly_is_not_cut(gateway, origin, raw):
    """send_timeout is between two successful writes, not for the whole answer."""
    size = 12_000_000

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        await wire.send(bytes(size))

    upstream = await origin(script)
    proxy = await gateway(upstream.port, send_timeout=0.3)
    client = await raw(proxy.port, receive_buffer=16_384)
    await client.send(GET)
    await client.head()
    for _ in range(12):
        await client.discard(size // 12)
        await asyncio.sleep(0.06)
    (line,) = await proxy.log_lines()
    assert (line["aborted"], line["bytes_sent"]) == (False, size)


async def test_an_idle_connection_is_closed(start):
    """keepalive_timeout after an answer, the connection ends."""
    _, proxy, client = await start(keepalive_timeout=SHORT)
    assert (await client.ask(GET)).status == 200
    assert await client.rest() == b""
    assert len(proxy.worker.clients) == 0


# --- connections -------------------------------------------------------------------------------------------------


async def test_connections_have_a_largest_number(start, raw):
    """At worker_connections a new client is refused while every connection is at work."""
    release = asyncio.Event()

    async def script(wire):
        await wire.message()
        await release.wait()
        await wire.send(OK)

    upstream, proxy, first = await start(script, worker_connections=2)
    second = await raw(proxy.port)
    await first.send(GET)
    await second.send(GET)
    await upstream.wire(1)
    third = await raw(proxy.port)
    assert await third.rest() == b""
    release.set()
    assert (await first.message()).status == 200
    assert (await second.message()).status == 200
    assert proxy.worker.connections().refused == 1


async def test_an_idle_connection_makes_room(start, raw):
    """At worker_connections the oldest idle connection is closed for a new client."""
    _, proxy, first = await start(worker_connections=2)
    second = await raw(proxy.port)
    for client in (first, second):
        assert (await client.ask(GET)).status == 200
    third = await raw(proxy.port)
    assert (await third.ask(GET)).status == 200
    assert await first.rest() == b""
    assert (await second.ask(GET)).status == 200


async def test_upstream_connections_are_closed_when_idle(gateway, origin, raw):
    """upstream_keepalive_idle_timeout ends a pooled connection."""
    ended = asyncio.Event()

    async def script(wire):
        await upstream.answer(wire)
        ended.set()

    upstream = await origin(script)
    proxy = await gateway(upstream.port, upstream_keepalive_idle_timeout=SHORT)
    client = await raw(proxy.port)
    assert (await client.ask(GET)).status == 200
    await asyncio.wait_for(ended.wait(), 5)
    assert (await client.ask(GET)).status == 200
    assert len(upstream.wires) == 2


@pytest.mark.parametrize(("setting", "value"), [("max_requests", 2), ("pool_size", 0)])
async def test_upstream_connections_are_not_kept_beyond_their_limits(gateway, origin, raw, setting, value):
    """A connection ends after upstream_keepalive_max_requests, and a pool of size 0 keeps none."""
    upstream = await origin(OK)
    proxy = await gateway(config_for(upstream.port), **{f"upstream_keepalive_{setting}": value})
    client = await raw(proxy.port)
    for _ in range(4):
        assert (await client.ask(GET)).status == 200
    assert len(upstream.wires) == (2 if setting == "max_requests" else 4)
