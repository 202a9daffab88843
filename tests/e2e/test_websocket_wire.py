"""Upgrades byte by byte: what is a handshake, where the tunnel's bytes begin, and how it ends."""

from __future__ import annotations

import asyncio

import pytest
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
BLOCK = bytes(range(256)) * 256
FLOOD = 64 * 1024 * 1024


async def switched(gateway, origin, raw, **service):
    """Return both ends of a tunnel, and the gateway in it."""

    async def script(wire):
        await wire.head()
        await wire.send(SWITCH)

    upstream = await origin(script)
    proxy = await gateway(config_for(upstream.port, service=service))
    client = await raw(proxy.port)
    await client.send(HANDSHAKE)
    assert (await client.head()).status == 101
    return client, await upstream.wire(), proxy


async def only_line(proxy):
    """Return the one access line, and see that nothing was recorded besides."""
    (line,) = await proxy.log_lines()
    assert proxy.worker.telemetry.requests == 1
    return line


# --- the handshake


async def test_a_connection_on_which_an_upgrade_was_declined_is_not_used_again(gateway, origin, raw):
    """Some servers (Node without a listener for upgrades) never read on behind one: the next request goes elsewhere."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    for _ in range(2):
        answer = await client.ask(HANDSHAKE)
        assert (answer.status, answer.body) == (200, b"ok")
    assert len(upstream.wires) == 2


async def test_the_handshake_keeps_what_belongs_to_it(gateway, origin, raw):
    """Upgrade and Sec-WebSocket-* go up, the accept comes down, and Connection names nothing else."""
    client, server, _ = await switched(gateway, origin, raw)
    asked = server.received.decode()
    assert "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in asked
    assert f"\r\nSec-WebSocket-Key: {KEY.decode()}\r\n" in asked
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in client.received
    assert client.received.count(b"Upgrade: websocket") == 1
    assert b"Content-Length" not in client.received
    assert b"Transfer-Encoding" not in client.received


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (b"Version: 13", b"Version: 8", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
        (KEY, b"c2hvcnQ=", 400),
        (KEY, b"this is no base64", 400),
        (b"Sec-WebSocket-Key: " + KEY + b"\r\n", b"", 400),
        (b"GET", b"POST", 400),
    ],
)
async def test_a_bad_handshake_never_reaches_the_upstream(gateway, origin, raw, before, after, status):
    """What RFC 6455 section 4.2.1 asks of a handshake is checked here, and the connection stays usable."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    answer = await client.ask(HANDSHAKE.replace(before, after))
    assert answer.status == status
    assert (status == 426) == ("Sec-WebSocket-Version" in answer)
    assert upstream.wires == []
    assert (await client.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"Upgrade: websocket\r\n", b""),
        (b"Connection: Upgrade\r\n", b""),
        (b"Upgrade: websocket", b"Upgrade: h2c"),
        (b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n{}"),
    ],
    ids=["HTTP/1.0", "no Upgrade", "no Connection", "h2c", "with a body"],
)
async def test_what_is_no_handshake_is_a_plain_request(gateway, origin, raw, before, after):
    """An upgrade that cannot be is ignored, as RFC 9110 section 7.8 has it, and not passed on."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    assert (await client.ask(HANDSHAKE.replace(before, after))).status == 200
    request = await upstream.request()
    assert "upgrade" not in request.names
    assert "upgrade" not in [value.lower() for value in request.all("connection")]
    assert "http2-settings" not in request.names


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", SWITCH),
        (HANDSHAKE, SWITCH.replace(b"Upgrade: websocket", b"Upgrade: h2c")),
        (HANDSHAKE, SWITCH.replace(b"Upgrade: websocket\r\n", b"")),
    ],
    ids=["unasked", "to another protocol", "to none"],
)
async def test_an_upstream_that_switches_to_something_else_is_a_502(gateway, origin, raw, request_, answer):
    """A 101 that nobody asked for is a bad answer, and its connection is not used again."""
    upstream = await origin(answer)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    assert (await client.ask(request_)).status == 502
    assert (await only_line(proxy))["error"] == "bad_response"
    assert [peer.pool.open for peer in proxy.worker._registry.peers] == [0]


async def test_a_refused_handshake_leaves_an_ordinary_connection(gateway, origin, raw):
    """After 403 with its body, the next request goes over the same connection of the client's."""
    upstream = await origin(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n")
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    answer = await client.ask(HANDSHAKE)
    assert (answer.status, answer.body) == (403, b"no\n")
    assert (await client.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status == 403
    assert len(upstream.wires) == 2


# --- the first bytes


async def test_bytes_right_behind_the_handshake_are_the_tunnels(gateway, origin, raw):
    """Frames in the segment of the request, and in that of the 101, arrive after the heads."""

    async def script(wire):
        await wire.head()
        await wire.send(SWITCH + b"early from the server")
        assert await wire.exactly(21) == b"early from the client"
        await wire.send(b"!")

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(HANDSHAKE + b"early from the client")
    assert (await client.head()).status == 101
    assert await client.exactly(22) == b"early from the server!"


async def test_many_bytes_before_the_101_are_not_lost(gateway, origin, raw):
    """A client that sends more than is kept while it waits is paused, and read on once the tunnel stands."""
    go = asyncio.Event()

    async def script(wire):
        await wire.head()
        await go.wait()
        await wire.send(SWITCH)
        assert await wire.exactly(len(BLOCK) * 20) == BLOCK * 20
        await wire.send(b"all")

    upstream = await origin(script)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(HANDSHAKE)
    await upstream.wire()
    sending = asyncio.ensure_future(client.send(BLOCK * 20))
    await asyncio.sleep(0.05)
    go.set()
    assert (await client.head()).status == 101
    assert await client.exactly(3) == b"all"
    await sending


# --- idle


async def test_a_tunnel_is_closed_when_both_directions_are_silent(gateway, origin, raw):
    """After read_timeout without a byte either way, both ends see the end; it is no error."""
    client, server, proxy = await switched(gateway, origin, raw, read_timeout=200)
    assert await client.rest() == b""
    assert await server.rest() == b""
    line = await only_line(proxy)
    assert (line["status"], line["upgraded"], line["error"]) == (101, True, None)


@pytest.mark.parametrize("speaker", ["client", "server"])
async def test_one_direction_is_enough_to_keep_it_open(gateway, origin, raw, speaker):
    """Bytes of one side alone keep the tunnel open beyond read_timeout."""
    client, server, _ = await switched(gateway, origin, raw, read_timeout=400)
    speaks, listens = (client, server) if speaker == "client" else (server, client)
    for _ in range(8):
        await speaks.send(b".")
        await asyncio.sleep(0.15)
    assert await listens.exactly(8) == b"........"
    await listens.send(b"still here")
    assert await speaks.exactly(10) == b"still here"


# --- backpressure


@pytest.mark.parametrize("reader", ["client", "server"])
async def test_a_reader_that_stops_stops_the_other_side(gateway, origin, raw, reader):
    """What is sent to a side that does not read is bounded, and every byte arrives once it reads on."""
    client, server, _ = await switched(gateway, origin, raw)
    reads, writes = (client, server) if reader == "client" else (server, client)
    sent = 0

    async def flood():
        nonlocal sent
        while sent < FLOOD:
            await writes.send(BLOCK)
            sent += len(BLOCK)

    flooding = asyncio.ensure_future(flood())
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.2)
    assert sent < FLOOD / 2  # what the kernel's buffers take on two connections, and little more
    loop, position, pattern = asyncio.get_running_loop(), 0, BLOCK * 17
    while position < FLOOD:
        data = await loop.sock_recv(reads.sock, 1024 * 1024)
        start = position % len(BLOCK)
        assert data == pattern[start : start + len(data)]
        position += len(data)
    await flooding


# --- the end


async def test_the_client_ends_its_half_and_reads_on(gateway, origin, raw):
    """The server sees the end of stream, still answers, and its end closes the tunnel."""
    client, server, proxy = await switched(gateway, origin, raw)
    await client.send(b"last words")
    client.half_close()
    assert await server.rest() == b"last words"
    await server.send(b"and mine")
    server.close()
    assert await client.rest() == b"and mine"
    assert (await only_line(proxy))["upgraded"] is True


async def test_the_server_ends_its_half_and_reads_on(gateway, origin, raw):
    """The same the other way round."""
    client, server, proxy = await switched(gateway, origin, raw)
    await server.send(b"last words")
    server.half_close()
    assert await client.rest() == b"last words"
    await client.send(b"and mine")
    client.half_close()
    assert await server.rest() == b"and mine"
    assert (await only_line(proxy))["upgraded"] is True


@pytest.mark.parametrize("end", ["client", "server"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_abrupt_end_is_passed_on(gateway, origin, raw, end, how):
    """Whichever side vanishes, the other one sees its connection end, and one line is written."""
    client, server, proxy = await switched(gateway, origin, raw)
    goes, stays = (client, server) if end == "client" else (server, client)
    getattr(goes, how)()
    assert await stays.rest() == b""
    stays.close()
    line = await only_line(proxy)
    assert (line["status"], line["upgraded"]) == (101, True)
    async with asyncio.timeout(PATIENCE):
        await proxy.worker.clients.gone()
    assert [peer.inflight for peer in proxy.worker._registry.peers] == [0]
    assert [peer.pool.open for peer in proxy.worker._registry.peers] == [0]


@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_half_that_has_ended_is_sent_no_close_frame(gateway, origin, raw, side):
    """A gateway that stops says 1001 to the end that still listens, and stops in good order."""
    client, server, proxy = await switched(gateway, origin, raw)
    ends = {"client": (client, server), "server": (server, client)}
    leaving, staying = ends[side]
    leaving.half_close()
    assert await staying.rest() == b""
    await proxy.worker.stop(drain=0.0)
    told = await leaving.rest()
    if side == "client":
        assert told == b"\x88\x02\x03\xe9"
    else:
        assert (told[:2], len(told)) == (b"\x88\x82", 8)
    assert (await only_line(proxy))["status"] == 101


async def test_the_bytes_of_a_tunnel_are_counted(gateway, origin, raw):
    """The access line has what each side sent through the tunnel."""
    client, server, proxy = await switched(gateway, origin, raw)
    await client.send(b"x" * 1000)
    await server.exactly(1000)
    await server.send(b"y" * 500)
    await client.exactly(500)
    client.close()
    server.close()
    line = await only_line(proxy)
    assert (line["bytes_received"], line["bytes_sent"]) == (1000, 500)
