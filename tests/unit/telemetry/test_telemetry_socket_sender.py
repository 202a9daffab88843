"""Lines and datagrams to real sockets, and what becomes of those that go."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxyd.telemetry.queue import DeliveryError
from proxyd.telemetry.socket_sender import DatagramSender, StreamSender, place

PATIENCE = 5.0


class Time:
    seconds = 0.0

    def now(self):
        return self.seconds


class Lines:
    """A server that keeps the lines of each connection; ``drop`` closes those that are open."""

    def __init__(self):
        self.connections = []
        self.writers = []
        self.came = asyncio.Condition()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.drop()
        self.server.close()
        await self.server.wait_closed()

    def drop(self):
        while self.writers:
            self.writers.pop().close()

    async def _take(self, reader, writer):
        lines = []
        self.connections.append(lines)
        self.writers.append(writer)
        async for line in reader:
            lines.append(line)
            async with self.came:
                self.came.notify_all()
        writer.close()

    async def until(self, *counts):
        async with asyncio.timeout(PATIENCE), self.came:
            await self.came.wait_for(lambda: [len(lines) for lines in self.connections] == list(counts))


@pytest.fixture
async def datagrams(tmp_path):
    """A local datagram socket: its path, and itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taker:
        taker.bind(str(tmp_path / "log"))
        taker.settimeout(PATIENCE)
        yield str(tmp_path / "log"), taker


async def test_lines_share_a_connection_until_it_has_rested_too_long():
    """As keepalive says."""
    time = Time()
    async with Lines() as server:
        sender = StreamSender("127.0.0.1", server.port, time.now, keepalive=60)
        await sender.send([b"a", b"b"])
        time.seconds = 59
        await sender.send([b"c"])
        await server.until(3)
        time.seconds = 120
        await sender.send([b"d"])
        await server.until(3, 1)
        assert server.connections == [[b"a\n", b"b\n", b"c\n"], [b"d\n"]]
        await sender.close()


async def test_a_connection_that_was_closed_is_not_used_again():
    """The other side's end is seen before the next line is written."""
    async with Lines() as server:
        sender = StreamSender("127.0.0.1", server.port, Time().now)
        await sender.send([b"a"])
        await server.until(1)
        reader, _ = sender._streams
        server.drop()
        async with asyncio.timeout(PATIENCE):
            while not reader.at_eof():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await sender.send([b"b"])
        await server.until(1, 1)
        await sender.close()


async def test_nobody_listens():
    """It is told, and the next try connects anew."""
    async with Lines() as server:
        port = server.port
    sender = StreamSender("127.0.0.1", port, Time().now)
    with pytest.raises(DeliveryError) as caught:
        await sender.send([b"a"])
    assert caught.value.again
    await sender.close()


async def test_a_server_that_reads_nothing():
    """The time for a delivery is over, and its connection with it."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        sender = StreamSender("127.0.0.1", deaf.getsockname()[1], Time().now, timeout=0.05)
        with pytest.raises(DeliveryError, match=r"not taken within 0\.05 s"):
            await sender.send([b"x" * 20_000_000])
        assert sender._streams is None
        await sender.close()


async def test_a_datagram_each(datagrams):
    """In order, over one socket."""
    path, taker = datagrams
    sender = DatagramSender(path, Time().now)
    await sender.send([b"a", b"b"])
    assert [taker.recv(10), taker.recv(10)] == [b"a", b"b"]
    await sender.close()


async def test_udp():
    """To a host by its name; the name is looked up again after a while."""
    time = Time()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.bind(("127.0.0.1", 0))
        taker.settimeout(PATIENCE)
        sender = DatagramSender(("127.0.0.1", taker.getsockname()[1]), time.now)
        await sender.send([b"a"])
        first = sender._socket
        time.seconds = 61
        await sender.send([b"b"])
        assert [taker.recv(10), taker.recv(10)] == [b"a", b"b"]
        assert sender._socket is not first
        await sender.close()


async def test_one_that_is_too_large(datagrams):
    """There is no use in another try, and the next one goes out."""
    path, taker = datagrams
    sender = DatagramSender(path, Time().now)
    with pytest.raises(DeliveryError) as caught:
        await sender.send([b"x" * 10_000_000])
    assert not caught.value.again
    await sender.send([b"b"])
    assert taker.recv(10) == b"b"
    await sender.close()


async def test_nothing_is_sent_twice(tmp_path):
    """A batch is tried again only while nothing of it is out."""
    path = tmp_path / "log"
    sender = DatagramSender(str(path), Time().now)
    with pytest.raises(DeliveryError) as caught:
        await sender.send([b"a", b"b"])
    assert caught.value.again
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taker:
        taker.bind(str(path))
        with pytest.raises(DeliveryError) as caught:
            await sender.send([b"x"] * 10_000)  # more than a socket holds that nobody reads
    assert not caught.value.again
    await sender.close()


@pytest.mark.parametrize(("host", "name"), [("h", "h:1"), ("::1", "[::1]:1")])
def test_names_of_places(host, name):
    """An IPv6 address is told from its port."""
    assert place(host, 1) == name
