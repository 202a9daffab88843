"""TLS towards upstreams: who is believed, who is shown what, and that connections are kept."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
import trustme
from e2e_gateway import config_for
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


class Secure:
    """An HTTPS origin that counts its handshakes and tells what the client showed."""

    def __init__(self):
        self.connections = 0
        self.writers = []

    async def serve(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                shown = writer.get_extra_info("peercert") or {}
                name = dict(field[0] for field in shown.get("subject", ())).get("organizationalUnitName", "")
                body = name.encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()


@pytest.fixture
async def secure():
    """Give what starts an HTTPS origin: a context in, the origin with its ``port`` out."""
    servers, origins = [], []

    async def start(context):
        one = Secure()
        server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=context)
        one.port = server.sockets[0].getsockname()[1]
        servers.append(server)
        origins.append(one)
        return one

    yield start
    for server in servers:
        server.close()
    for one in origins:
        for writer in one.writers:
            writer.transport.abort()
    await asyncio.sleep(0.01)


def context(authority, *names, clients=None):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(server)
    if clients is not None:
        clients.configure_trust(server)
        server.verify_mode = ssl.CERT_REQUIRED
    return server


def to(one, host="localhost", protocol="https", **service):
    """Return a configuration with one service at an HTTPS origin."""
    ca = service.pop("ca", None)
    top = {key: service.pop(key) for key in ("certificates", "ca_certificates") if key in service}
    if ca is not None:
        identity = "3a4f2c1e-0000-4000-8000-000000000001"
        top["ca_certificates"] = [{"id": identity, "cert": ca.cert_pem.bytes().decode()}]
        service["ca_certificates"] = [identity]
    return config_for(f"{protocol}://{host}:{one.port}", service={"retries": 0, **service}, **top)


async def test_a_certificate_is_not_verified_unless_asked_for(gateway, secure, raw, authority):
    """Kong's default: the connection is encrypted, whoever is at the other end."""
    one = await secure(context(authority, "somebody.else"))
    proxy = await gateway(to(one))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 200


async def test_a_certificate_of_the_right_authority_is_accepted(gateway, secure, raw, authority):
    """With tls_verify and ca_certificates, the origin's own authority vouches for it."""
    one = await secure(context(authority, "localhost"))
    proxy = await gateway(to(one, tls_verify=True, ca=authority))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 200


@pytest.mark.parametrize("trusts", ["another authority", "the system"])
async def test_a_certificate_of_another_authority_is_refused(gateway, secure, raw, authority, trusts):
    """Nothing is sent to an origin that nobody trusted vouches for; the reason is in the log, not the answer."""
    one = await secure(context(authority, "localhost"))
    ca = {"ca": trustme.CA()} if trusts == "another authority" else {}
    proxy = await gateway(to(one, tls_verify=True, **ca))
    answer = await (await raw(proxy.port)).ask(REQUEST)
    assert answer.status == 502
    assert b"certificate" not in answer.body
    (line,) = await proxy.log_lines()
    assert (line["error"], line["error_source"]) == ("tls_failed", "upstream")
    assert "certificate verify failed" in line["error_cause"]


@pytest.mark.parametrize(("depth", "status"), [(None, 200), (1, 200), (0, 502)])
async def test_a_chain_may_be_so_deep(gateway, secure, raw, authority, depth, status):
    """tls_verify_depth counts the intermediates; nothing is sent over a longer chain."""
    one = await secure(context(authority.create_child_ca(), "localhost"))
    limit = {} if depth is None else {"tls_verify_depth": depth}
    proxy = await gateway(to(one, tls_verify=True, ca=authority, **limit))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == status
    (line,) = await proxy.log_lines()
    if status == 502:
        assert "certificate chain too long: 1 intermediates, 0 accepted" in line["error_cause"]


async def test_a_certificate_for_another_name_is_refused(gateway, secure, raw, authority):
    """The name in the certificate must be the service's host."""
    one = await secure(context(authority, "somebody.else"))
    proxy = await gateway(to(one, tls_verify=True, ca=authority))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 502
    (line,) = await proxy.log_lines()
    assert line["error"] == "tls_failed"
    assert "localhost" in line["error_cause"]


async def test_an_origin_without_tls_is_a_502(gateway, origin, raw):
    """A plain server behind https fails in the handshake."""

    async def script(wire):
        await wire.exactly(1)
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        wire.close()

    plain = await origin(script)
    proxy = await gateway(config_for(f"https://127.0.0.1:{plain.port}", service={"retries": 0}))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 502
    (line,) = await proxy.log_lines()
    assert line["error"] == "tls_failed"


async def test_a_client_certificate_is_shown(gateway, secure, raw, authority):
    """client_certificate names a certificate of the file, and the origin sees it."""
    clients = trustme.CA()
    one = await secure(context(authority, "localhost", clients=clients))
    issued = clients.issue_cert("gateway.test", organization_unit_name="the gateway")
    identity = "3a4f2c1e-0000-4000-8000-000000000002"
    mine = {
        "id": identity,
        "cert": b"".join(blob.bytes() for blob in issued.cert_chain_pems).decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }
    proxy = await gateway(to(one, client_certificate=identity, certificates=[mine]))
    answer = await (await raw(proxy.port)).ask(REQUEST)
    assert (answer.status, answer.body) == (200, b"the gateway")


async def test_an_origin_that_wants_a_certificate_refuses_without(gateway, secure, raw, authority):
    """Without client_certificate the same origin is a 502."""
    one = await secure(context(authority, "localhost", clients=trustme.CA()))
    proxy = await gateway(to(one))
    assert (await (await raw(proxy.port)).ask(REQUEST)).status == 502
    (line,) = await proxy.log_lines()
    assert line["error_source"] == "upstream"


async def test_encrypted_connections_are_kept(gateway, secure, raw, authority):
    """Five requests in a row need one handshake."""
    one = await secure(context(authority, "localhost"))
    proxy = await gateway(to(one, tls_verify=True, ca=authority))
    client = await raw(proxy.port)
    assert [(await client.ask(REQUEST)).status for _ in range(5)] == [200] * 5
    assert one.connections == 1


async def test_a_websocket_runs_to_an_upstream_over_tls(gateway, authority):
    """A service with protocol wss is dialled with TLS, the upgrade and its frames go through."""

    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0, ssl=context(authority, "localhost")) as server:
        port = server.sockets[0].getsockname()[1]
        identity = "3a4f2c1e-0000-4000-8000-000000000001"
        config = config_for(
            f"wss://localhost:{port}",
            service={"tls_verify": True, "ca_certificates": [identity]},
            route={"protocols": ["http", "ws"]},
            ca_certificates=[{"id": identity, "cert": authority.cert_pem.bytes().decode()}],
        )
        proxy = await gateway(config)
        async with connect(proxy.url.replace("http", "ws", 1), max_size=None) as socket:
            for message in ("hello", b"x" * 1_000_000):
                await socket.send(message)
                assert await socket.recv() == message
