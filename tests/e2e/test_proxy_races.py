"""What depends on who comes first: closes, resets and answers that cross on the wire."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from e2e_gateway import config_for
from e2e_wire import OK

from proxyd.gateway.relay import MAX_INTERIM

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"


@pytest.fixture
def hasty():
    """Run an origin in a thread that closes right behind each answer, and count its requests."""
    listener = socket.create_server(("127.0.0.1", 0))
    served = []

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                received = b""
                while not received.endswith(b"body") and (data := sock.recv(4096)):
                    received += data
                served.append(received)
                sock.sendall(OK)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], served
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


async def test_posts_survive_an_origin_that_closes_behind_each_answer(gateway, raw, hasty):
    """Closes that nobody announces are learned from: of 300 POSTs each is answered, and arrives once."""
    port, served = hasty
    proxy = await gateway(port)
    client = await raw(proxy.port)
    for _ in range(20):  # what may be sent again shows what the origin does, and is sent again
        assert (await client.ask(POST.replace(b"POST", b"PUT"))).status == 200
    served.clear()
    statuses = [(await client.ask(POST)).status for _ in range(300)]
    assert statuses == [200] * 300
    assert len(served) == 300


async def test_a_refusal_is_read_although_its_sender_takes_no_more(gateway, origin, raw):
    """An origin that answers a large upload at once and closes is heard, not turned into a 502."""

    async def script(wire):
        await wire.head()
        await wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        wire.close()

    upstream = await origin(script)
    proxy = await gateway(upstream.port, client_max_body_size=0)
    statuses = []
    for _ in range(20):
        client = await raw(proxy.port)
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
        statuses.append((await client.message()).status)
        client.close()
    assert statuses == [413] * 20


async def test_a_flood_of_informational_answers_is_no_harm(gateway, origin, raw):
    """As many as an answer may need are read over; thousands are refused, and the next request is answered."""
    floods = iter((MAX_INTERIM, 5000, 0))

    async def script(wire):
        with contextlib.suppress(EOFError):
            while True:
                await wire.message()
                await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n" * next(floods) + OK)

    upstream = await origin(script)
    proxy = await gateway(config_for(upstream.port, service={"retries": 0}))
    client = await raw(proxy.port)
    statuses = [(await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status for _ in range(3)]
    assert (statuses, len(upstream.wires)) == ([200, 502, 200], 2)


async def test_thousands_of_pipelined_refusals_are_no_harm(gateway, origin, raw):
    """Answers that need no upstream are given in a loop, however many requests are in the buffer."""
    upstream = await origin(OK)
    proxy = await gateway({"_format_version": "3.0", "services": [{"name": "s", "url": upstream.url}]})
    client = await raw(proxy.port)
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 900)
    for _ in range(900):
        assert (await client.message()).status == 404


async def test_a_flood_of_empty_lines_is_no_harm(gateway, origin, raw):
    """Line breaks without a request are not answered for ever, and bring nothing down."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    await client.send(b"\r\n" * 50_000)
    assert (await client.message()).status == 400
    assert (await (await raw(proxy.port)).ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200
