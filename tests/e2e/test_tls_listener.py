"""TLS towards clients: which certificate, which versions, and what a route makes of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import httpx
import pytest
import trustme
from e2e_gateway import config_for
from e2e_tls import pem, talk, trusting
from e2e_wire import OK
from websockets.asyncio.client import connect

LISTEN = "127.0.0.1:0 ssl"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


async def test_a_listener_without_a_certificate_makes_one(gateway, origin):
    """The self-signed default encrypts, offers HTTP/1.1 by ALPN, and is trusted by nobody."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    assert proxy.url.startswith("https://")
    seen = await talk(proxy.port, trusting(), "localhost")
    assert (seen.status, seen.version) == (200, "TLSv1.3")
    with pytest.raises(ssl.SSLCertVerificationError):
        await talk(proxy.port, trusting(trustme.CA()), "localhost")


async def test_alpn_settles_on_http_1_1(gateway, origin):
    """A client that would like HTTP/2 better gets HTTP/1.1, the one protocol that there is."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    context = trusting()
    context.set_alpn_protocols(["h2", "http/1.1"])
    seen = await talk(proxy.port, context, "localhost")
    assert (seen.alpn, seen.status) == ("http/1.1", 200)


async def test_the_name_asked_for_chooses_the_certificate(gateway, origin, authority):
    """Exact names before wildcards; whoever asks for none of them, or for nothing, gets ssl_cert."""
    upstream = await origin(OK)
    default = pem(authority, "default.test")
    config = config_for(
        upstream.port,
        certificates=[
            {**pem(authority, "api.test"), "snis": ["api.test"]},
            {**pem(authority, "*.test"), "snis": [{"name": "*.test"}]},
        ],
    )
    proxy = await gateway(config, proxy_listen=LISTEN, ssl_cert=default["cert"], ssl_cert_key=default["key"])
    seen = {
        name: (await talk(proxy.port, trusting(authority, check_hostname=False), name)).names
        for name in ("api.test", "API.test", "shop.test", "default.test", "elsewhere.example", None)
    }
    assert seen == {
        "api.test": {"api.test"},
        "API.test": {"api.test"},
        "shop.test": {"*.test"},
        "default.test": {"*.test"},
        "elsewhere.example": {"default.test"},
        None: {"default.test"},
    }


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_of_tls_are_spoken(gateway, origin, version):
    """TLS 1.2 and 1.3 are offered by default; the access line says which it was."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    context = trusting(minimum_version=version, maximum_version=version)
    name = version.name.replace("_", ".").replace("TLSv1", "TLSv1")
    assert (await talk(proxy.port, context, "localhost")).version == name
    (line,) = await proxy.log_lines()
    assert (line["tls_version"], line["scheme"]) == (name, "https")


async def test_a_version_that_is_switched_off_is_not_spoken(gateway, origin):
    """With ssl_protocols TLSv1.3, a client that knows only 1.2 is turned away."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN, ssl_protocols="TLSv1.3")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await talk(proxy.port, trusting(maximum_version=ssl.TLSVersion.TLSv1_2), "localhost")
    assert (await talk(proxy.port, trusting(), "localhost")).version == "TLSv1.3"


async def test_plain_http_on_a_tls_port_does_no_harm(gateway, origin, raw):
    """A client that forgot the TLS is disconnected, the next one served."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    plain = await raw(proxy.port)
    await plain.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"HTTP/1.1 200" not in await plain.rest()
    assert (await talk(proxy.port, trusting(), "localhost")).status == 200


async def test_tls_on_a_plain_port_is_a_400(gateway, origin):
    """A ClientHello is no request."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await talk(proxy.port, trusting(), "localhost")
    (line,) = await proxy.log_lines()
    assert line["status"] == 400
    assert upstream.wires == []


async def test_the_upstream_is_told_of_https(gateway, origin):
    """X-Forwarded-Proto and -Port describe the listener that the client came to."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    await talk(proxy.port, trusting(), "localhost")
    request = await upstream.request()
    assert (request["x-forwarded-proto"], request["x-forwarded-port"]) == ("https", str(proxy.port))


async def test_routes_are_chosen_by_server_name(gateway, origin):
    """A route with snis wins for its name in the handshake, whatever the Host says."""
    upstream = await origin(OK)
    config = config_for(upstream.port)
    config["services"][0]["routes"] = [
        {"name": "by-sni", "snis": ["api.test"], "paths": ["/"], "protocols": ["https"]},
        {"name": "else", "paths": ["/"]},
    ]
    proxy = await gateway(config, proxy_listen=LISTEN)
    for name, host in (("api.test", "other.test"), ("other.test", "api.test")):
        await talk(proxy.port, trusting(), name, host)
    assert [line["route"] for line in await proxy.log_lines(2)] == ["by-sni", "else"]


@pytest.mark.parametrize("status", [426, 301, 302, 307, 308])
async def test_a_route_for_https_sends_plain_requests_there(gateway, origin, raw, status):
    """On a plain listener such a route answers with its https_redirect_status_code; on a TLS one it serves."""
    upstream = await origin(OK)
    route = {"protocols": ["https"], "https_redirect_status_code": status}
    proxy = await gateway(config_for(upstream.port, route=route), proxy_listen="127.0.0.1:0, 127.0.0.1:0 ssl")
    plain, secure = (int(url.rpartition(":")[2]) for url in proxy.worker.addresses)
    client = await raw(plain)
    answer = await client.ask(b"GET /a%20b?c=d HTTP/1.1\r\nHost: example.com:8000\r\n\r\n")
    assert answer.status == status
    assert upstream.wires == []
    if status == 426:
        assert answer["upgrade"] == "TLS/1.2, HTTP/1.1"
    else:
        assert answer["location"] == "https://example.com/a%20b?c=d"
    assert (await talk(secure, trusting(), "localhost")).status == 200


async def test_websockets_run_over_tls(gateway, backend, authority):
    """A wss client is echoed to, with a certificate that it verifies."""
    config = config_for(backend.port, certificates=[{**pem(authority, "localhost"), "snis": ["localhost"]}])
    proxy = await gateway(config, proxy_listen=LISTEN)
    url = f"wss://localhost:{proxy.port}/ws"
    async with connect(url, ssl=trusting(authority), host="127.0.0.1", max_size=None) as socket:
        for message in ("hello", b"x" * 1_000_000):
            await socket.send(message)
            assert await socket.recv() == message
    (line,) = await proxy.log_lines()
    assert (line["upgraded"], line["tls_version"]) == (True, "TLSv1.3")


async def test_a_tunnel_that_the_upstream_ends_is_closed(gateway):
    """TLS cannot end one direction alone, and a client that has closed a WebSocket waits for the connection's end."""
    released = asyncio.Event()

    async def switch(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nlast"
        )
        writer.write_eof()
        await reader.read()
        released.set()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(switch, "127.0.0.1", 0) as upstream:
        proxy = await gateway(upstream.sockets[0].getsockname()[1], proxy_listen=LISTEN)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=trusting())
        writer.write(
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        async with asyncio.timeout(30):  # less than read_timeout, which would end it in any case
            assert (await reader.read()).endswith(b"\r\n\r\nlast")
        await released.wait()
        writer.close()
        await writer.wait_closed()


async def test_large_bodies_pass_over_tls(gateway, origin):
    """An answer of many records arrives whole."""
    body = bytes(range(256)) * 20_000
    upstream = await origin(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    assert (await talk(proxy.port, trusting(), "localhost")).answer.endswith(body)


@pytest.mark.parametrize(
    ("suite", "offered", "spoken"),
    [
        ("intermediate", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384", True),
        ("intermediate", "ECDHE-ECDSA-AES256-SHA384", False),
        ("old", "ECDHE-ECDSA-AES256-SHA384", True),
        ("modern", "ECDHE-ECDSA-AES128-GCM-SHA256", False),
    ],
)
async def test_the_suites_of_tls_1_2_are_those_of_the_setting(gateway, origin, suite, offered, spoken):
    """Intermediate needs forward secrecy and AEAD, old does without the latter, modern knows TLS 1.3 only."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN, ssl_cipher_suite=suite)
    client = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    client.set_ciphers(offered)
    if spoken:
        assert (await talk(proxy.port, client, "localhost")).cipher in offered.split(":")
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await talk(proxy.port, client, "localhost")
    assert (await talk(proxy.port, trusting(), "localhost")).version == "TLSv1.3"


async def test_suites_of_ones_own(gateway, origin):
    """With custom, ssl_ciphers says which, in the gateway's order."""
    upstream = await origin(OK)
    suites = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"
    proxy = await gateway(upstream.port, proxy_listen=LISTEN, ssl_cipher_suite="custom", ssl_ciphers=suites)
    client = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305")
    assert (await talk(proxy.port, client, "localhost")).cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"


@pytest.mark.parametrize(
    ("suites", "kind"), [("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ECDHE-ECDSA-AES128-GCM-SHA256", "EC")]
)
async def test_two_certificates_under_one_name(gateway, origin, authority, suites, kind):
    """With cert_alt, a client is shown the one whose kind of key it knows."""
    upstream = await origin(OK)
    rsa = pem(authority, "api.test", "rsa.test", key_type=trustme.KeyType.RSA)
    elliptic = pem(authority, "api.test", "ec.test", key_type=trustme.KeyType.ECDSA)
    both = {**rsa, "cert_alt": elliptic["cert"], "key_alt": elliptic["key"], "snis": ["api.test"]}
    proxy = await gateway(config_for(upstream.port, certificates=[both]), proxy_listen=LISTEN)
    client = trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    client.set_ciphers(suites)
    assert f"{kind.lower()}.test" in (await talk(proxy.port, client, "api.test")).names


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("tickets", ["on", "off"])
async def test_sessions_are_taken_up_again(gateway, origin, version, tickets):
    """The next connection needs no whole handshake, and a reload in between does not matter; tickets can be off."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN, ssl_session_tickets=tickets)
    client = trusting(minimum_version=version, maximum_version=version)
    again = version is ssl.TLSVersion.TLSv1_2 or tickets == "on"  # TLS 1.2 has session ids beside tickets

    def ask(session):
        with (
            socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock,
            client.wrap_socket(sock, server_hostname="localhost", session=session) as wrapped,
        ):
            wrapped.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert wrapped.recv(100).startswith(b"HTTP/1.1 200")
            return wrapped.session, wrapped.session_reused

    session, reused = await asyncio.to_thread(ask, None)
    assert not reused
    assert await proxy.worker.reload()
    _, reused = await asyncio.to_thread(ask, session if again else None)
    assert (session.has_ticket, reused) == (tickets == "on", again)


async def test_one_handshake_in_many_pieces(gateway, origin):
    """A ClientHello that comes byte by byte is waited for, and its name is found."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname="slow.test")
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            for byte in outgoing.read():
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            incoming.write(await reader.read(65536))
    client.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    writer.write(outgoing.read())
    answer = b""
    while b"\r\n" not in answer:
        incoming.write(await reader.read(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            answer += client.read()
    assert answer.startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()


async def test_failed_handshakes_are_counted(gateway, origin, raw):
    """By what was wrong with them, for whoever looks after clients."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    plain = await raw(proxy.port)
    await plain.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    await plain.rest()
    async with httpx.AsyncClient(base_url=proxy.status_url) as http:
        metrics = (await http.get("/metrics")).text
    assert 'proxyd_tls_handshake_failures_total{reason="http request"} 1.0' in metrics
