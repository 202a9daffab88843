"""tcp-log, udp-log and syslog through a running gateway, to real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl

import pytest
import trustme
from e2e_gateway import config_for
from e2e_records import uris
from e2e_wire import OK, PATIENCE

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


def logged(upstream, name, **config):
    return config_for(upstream, plugins=[{"name": name, "config": config}])


async def ask(raw, proxy, *numbers):
    client = await raw(proxy.port)
    assert [(await client.ask(GET % number)).status for number in numbers] == [200] * len(numbers)


class Lines:
    """What takes connections and keeps the records of all of them."""

    def __init__(self, port=0, context=None):
        self.port = port
        self.records = []
        self._context = context
        self._came = asyncio.Condition()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _take(self, reader, writer):
        async for line in reader:
            self.records.append(json.loads(line))
            async with self._came:
                self._came.notify_all()
        writer.close()

    async def until(self, count):
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: len(self.records) >= count)
        return self.records


@pytest.mark.parametrize("tls", [False, True])
async def test_tcp(gateway, origin, raw, tmp_path, tls):
    """A line each, over one connection; over TLS to a name that is verified."""
    upstream = await origin(OK)
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("logs.test").configure_cert(context)
    async with Lines(context=context if tls else None) as server:
        config = {"tls": True, "tls_sni": "logs.test"} if tls else {}
        proxy = await gateway(
            logged(upstream.port, "tcp-log", host="127.0.0.1", port=server.port, **config),
            trusted_certificate=str(file),
        )
        await ask(raw, proxy, *range(5))
        assert uris(await server.until(5)) == [f"/{number}" for number in range(5)]
        await proxy.worker.stop()


async def test_tcp_to_somebody_who_comes_later(gateway, origin, raw):
    """Requests are answered meanwhile, and their records arrive."""
    upstream = await origin(OK)
    async with Lines() as gone:
        port = gone.port
    proxy = await gateway(logged(upstream.port, "tcp-log", host="127.0.0.1", port=port))
    await ask(raw, proxy, 1, 2)
    async with Lines(port) as server:
        assert uris(await server.until(2)) == ["/1", "/2"]
        await proxy.worker.stop()


async def received(taker, count):
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        return [await loop.sock_recv(taker, 65536) for _ in range(count)]


async def test_udp(gateway, origin, raw):
    """A datagram each."""
    upstream = await origin(OK)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.setblocking(False)
        taker.bind(("127.0.0.1", 0))
        port = taker.getsockname()[1]
        proxy = await gateway(logged(upstream.port, "udp-log", host="127.0.0.1", port=port))
        await ask(raw, proxy, 1, 2, 3)
        found = [json.loads(data) for data in await received(taker, 3)]
        assert uris(found) == ["/1", "/2", "/3"]


@pytest.mark.parametrize("size", [0, 1400])
async def test_statsd(gateway, origin, raw, size):
    """Lines in datagrams of their own, or gathered."""
    upstream = await origin(OK)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.setblocking(False)
        taker.bind(("127.0.0.1", 0))
        counters = [
            {"name": name, "stat_type": "counter", "sample_rate": 1}
            for name in ("request_count", "status_count")
        ]
        config = {"host": "127.0.0.1", "port": taker.getsockname()[1], "udp_packet_size": size}
        proxy = await gateway(logged(upstream.port, "statsd", metrics=counters, **config))
        await ask(raw, proxy, 1)
        packets = await received(taker, 1 if size else 2)
        lines = [b"kong.service.backend.request.count:1|c", b"kong.service.backend.status.200:1|c"]
        assert b"\n".join(packets).split(b"\n") == lines


async def test_datadog(gateway, origin, raw):
    """A datagram for each metric."""
    upstream = await origin(OK)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.setblocking(False)
        taker.bind(("127.0.0.1", 0))
        config = {"host": "127.0.0.1", "port": taker.getsockname()[1]}
        proxy = await gateway(logged(upstream.port, "datadog", **config))
        await ask(raw, proxy, 1)
        packets = await received(taker, 6)
        assert packets[0] == b"kong.request.count:1|c|#name:backend,status:200,app:kong"


async def test_statsd_over_tcp(gateway, origin, raw):
    """A line each."""
    upstream = await origin(OK)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        counter = {"name": "request_count", "stat_type": "counter", "sample_rate": 1}
        config = {"host": "127.0.0.1", "port": server.getsockname()[1], "use_tcp": True}
        proxy = await gateway(logged(upstream.port, "statsd", metrics=[counter], **config))
        await ask(raw, proxy, 1)
        connection, _ = await asyncio.get_running_loop().sock_accept(server)
        with connection:
            assert await received(connection, 1) == [b"kong.service.backend.request.count:1|c\n"]


async def test_syslog(gateway, origin, raw, tmp_path):
    """A message each, and the restart of syslog loses none of those behind it."""
    upstream = await origin(OK)
    path = tmp_path / "devlog"
    proxy = await gateway(logged(upstream.port, "syslog", address=str(path), facility="local0"))
    for number in (1, 2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taker:
            taker.setblocking(False)
            taker.bind(str(path))
            await ask(raw, proxy, number)
            (message,) = await received(taker, 1)
        path.unlink()
        assert message.startswith(b"<134>")
        assert json.loads(message.partition(b"]: ")[2])["request"]["uri"] == f"/{number}"
