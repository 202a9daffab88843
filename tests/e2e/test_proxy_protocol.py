"""PROXY headers through a running gateway: over plain listeners and TLS, trusted or not."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from e2e_gateway import config_for
from e2e_tls import trusting
from e2e_wire import OK

LINE = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n"
BLOCK = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes([203, 0, 113, 7, 192, 0, 2, 1]) + b"\x9c\x40\x01\xbb"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
SETTINGS = {
    "proxy_listen": "127.0.0.1:0 proxy_protocol",
    "trusted_ips": "127.0.0.1",
    "real_ip_header": "proxy_protocol",
}


@pytest.mark.parametrize("header", [LINE, BLOCK], ids=["version 1", "version 2"])
async def test_the_client_is_whom_the_header_names(gateway, origin, raw, header):
    """In the log, for the upstream, and on each request of the connection."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS)
    client = await raw(proxy.port)
    assert (await client.ask(header + GET)).status == 200
    assert (await client.ask(GET)).status == 200
    for request in upstream.requests:
        assert (request["x-forwarded-for"], request["x-real-ip"]) == ("203.0.113.7", "203.0.113.7")
        assert request["x-forwarded-port"] == "443"
    assert {line["client_ip"] for line in await proxy.log_lines(2)} == {"203.0.113.7"}


async def test_a_header_byte_by_byte(gateway, origin, raw):
    """The request behind it may come in the same segment as its end."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS)
    client = await raw(proxy.port)
    pieces = [bytes([byte]) for byte in BLOCK[:-1]]
    await client.send(*pieces, BLOCK[-1:] + GET, pause=0.001)
    assert (await client.message()).status == 200
    assert (await upstream.request())["x-real-ip"] == "203.0.113.7"


async def test_a_check_of_the_balancers_own(gateway, origin, raw):
    """LOCAL and UNKNOWN say nothing: the balancer is the client."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS)
    for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
        await (await raw(proxy.port)).ask(header + GET)
    assert [request["x-real-ip"] for request in upstream.requests] == ["127.0.0.1"] * 2


@pytest.mark.parametrize(
    "settings", [{"trusted_ips": "192.0.2.0/24"}, {"real_ip_header": "X-Real-IP"}], ids=["peer", "header"]
)
async def test_it_counts_only_where_that_is_configured(gateway, origin, raw, settings):
    """From a peer that is not trusted, or with another real_ip_header, the header is read and not believed."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS | settings)
    assert (await (await raw(proxy.port)).ask(LINE + GET)).status == 200
    (line,) = await proxy.log_lines()
    assert line["client_ip"] == "127.0.0.1"
    assert (await upstream.request())["x-real-ip"] == "127.0.0.1"


async def test_a_client_behind_the_balancer_is_trusted_for_its_own_sake(gateway, origin, raw):
    """What it writes of itself is not believed, in whatever header, though the balancer is trusted."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS)
    forged = b"GET / HTTP/1.1\r\nHost: h\r\nproxy_protocol: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n"
    assert (await (await raw(proxy.port)).ask(LINE + forged)).status == 200
    request = await upstream.request()
    assert (request["x-real-ip"], request["x-forwarded-proto"]) == ("203.0.113.7", "http")
    (line,) = await proxy.log_lines()
    assert (line["client_ip"], line["scheme"]) == ("203.0.113.7", "http")


@pytest.mark.parametrize("data", [GET, b"PROXY nonsense\r\n" + GET, b"\x16\x03\x01\x02\x00"])
async def test_without_a_header_there_is_no_connection(gateway, origin, raw, data):
    """It is cut, not answered, and nothing reaches the upstream; the next one is served."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS)
    client = await raw(proxy.port)
    await client.send(data)
    assert await client.rest() == b""
    assert upstream.wires == []
    assert proxy.worker.connections().malformed == 1
    assert (await (await raw(proxy.port)).ask(LINE + GET)).status == 200


async def test_whoever_keeps_the_header_back_is_cut(gateway, origin, raw):
    """After client_header_timeout; and at worker_connections the one that has waited longest."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS, client_header_timeout=0.2)
    client = await raw(proxy.port)
    await client.send(LINE[:10])
    assert await client.rest() == b""
    many = await gateway(upstream.port, **SETTINGS, worker_connections=2)
    first, _, third = [await raw(many.port) for _ in range(3)]
    assert await first.rest() == b""
    assert (await third.ask(LINE + GET)).status == 200


@pytest.mark.parametrize("together", [True, False])
async def test_tls_comes_behind_the_header(gateway, origin, together):
    """In one segment with it or not; the name of the handshake is seen as ever."""
    upstream = await origin(OK)
    config = config_for(upstream.port, route={"snis": ["h.test"], "protocols": ["https"]})
    proxy = await gateway(config, **SETTINGS | {"proxy_listen": "127.0.0.1:0 ssl proxy_protocol"})
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname="h.test")
    if together:
        outgoing.write(BLOCK)
    else:
        writer.write(BLOCK)
        await asyncio.sleep(0.01)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65536))
    client.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    writer.write(outgoing.read())
    incoming.write(await reader.read())
    answer = b""
    while b"\r\n" not in answer:
        answer += client.read()
    assert answer.startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    request = await upstream.request()
    assert (request["x-forwarded-for"], request["x-forwarded-proto"]) == ("203.0.113.7", "https")
    (line,) = await proxy.log_lines()
    assert (line["client_ip"], line["tls_version"]) == ("203.0.113.7", "TLSv1.3")


async def test_a_failed_handshake_behind_a_header_leaves_nothing(gateway, origin, raw):
    """Plain HTTP where TLS is due ends that connection alone."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS | {"proxy_listen": "127.0.0.1:0 ssl proxy_protocol"})
    client = await raw(proxy.port)
    await client.send(LINE + GET)
    assert b"HTTP/1.1 200" not in await client.rest()
    assert upstream.wires == []


async def test_stopping_ends_what_waits(gateway, origin, raw):
    """A connection whose header has not come does not hold up the end."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **SETTINGS)
    client = await raw(proxy.port)
    await client.send(LINE[:5])
    await asyncio.sleep(0.01)
    await proxy.worker.stop(drain=5.0)
    assert await client.rest() == b""


async def test_listeners_have_flags_of_their_own(gateway, origin, raw):
    """One with PROXY headers beside one without."""
    upstream = await origin(OK)
    proxy = await gateway(
        upstream.port, **SETTINGS | {"proxy_listen": "127.0.0.1:0, 127.0.0.1:0 proxy_protocol"}
    )
    plain, behind = (int(url.rpartition(":")[2]) for url in proxy.worker.addresses)
    assert (await (await raw(plain)).ask(GET)).status == 200
    assert (await (await raw(behind)).ask(LINE + GET)).status == 200
    assert [line["client_ip"] for line in await proxy.log_lines(2)] == ["127.0.0.1", "203.0.113.7"]
