"""Clients with certificates, through a running gateway: who is asked, who is let in, who is told."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
import trustme
from e2e_gateway import config_for
from e2e_tls import talk, trusting
from e2e_wire import OK

LISTEN = "127.0.0.1:0 ssl"
ROOT = "3a4f2c1e-0000-4000-8000-000000000001"
OTHER = "3a4f2c1e-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def stranger():
    return trustme.CA()


def holding(issued=None, **attributes):
    """Return a client's context with this certificate."""
    context = trusting(**attributes)
    if issued is not None:
        issued.configure_cert(context)
    return context


async def turned_away(port, context):
    """Tell whether the handshake fails: a client of TLS 1.3 learns of it with its first read."""
    try:
        return (await talk(port, context)).answer == b""
    except (ssl.SSLError, ConnectionError):
        return True


def authorities(*pairs):
    return [{"id": identity, "cert": one.cert_pem.bytes().decode()} for identity, one in pairs]


def config(port, authority, *, settings=None, route=None, **more):
    plugin = {"name": "mtls-auth", "config": {"ca_certificates": [ROOT], **(settings or {})}}
    return config_for(
        port,
        route=route,
        plugins=[plugin],
        ca_certificates=authorities((ROOT, authority)),
        consumers=[{"username": "device.test"}],
        **more,
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_lets_in(gateway, origin, authority, version):
    """The upstream is told of the consumer and the certificate, whatever the client says of either."""
    upstream = await origin(OK)
    proxy = await gateway(
        config(upstream.port, authority, settings={"forward_certificate": True}), proxy_listen=LISTEN
    )
    context = holding(authority.issue_cert("device.test"), minimum_version=version, maximum_version=version)
    forged = "X-Consumer-Username: root\r\nX-Client-Cert-Dn: CN=root\r\nX_Client_Cert_San: root\r\n"
    assert (await talk(proxy.port, context, fields=forged)).status == 200
    request = await upstream.request()
    assert (request["x-consumer-username"], request["x-client-cert-san"]) == ("device.test", "device.test")
    assert "root" not in str(request.fields)
    (line,) = await proxy.log_lines()
    assert line["consumer"] == "device.test"


async def test_without_one_the_answer_says_so(gateway, origin, authority):
    """401, after a handshake that succeeds: only the route knows that it wants one."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, authority), proxy_listen=LISTEN)
    seen = await talk(proxy.port, holding(), fields="Accept: application/json\r\n")
    assert (seen.status, b"No required TLS certificate was sent" in seen.answer) == (401, True)
    assert upstream.wires == []


async def test_one_of_a_stranger_ends_the_handshake(gateway, origin, authority, stranger):
    """It is verified before anything is read, and counted."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, authority), proxy_listen=LISTEN)
    assert await turned_away(proxy.port, holding(stranger.issue_cert("device.test")))
    assert proxy.worker.tls_state.handshake_failures == {"certificate verify failed": 1}
    assert upstream.wires == []


async def test_each_plugin_has_its_own_authorities(gateway, origin, authority, stranger):
    """One that another route trusts gets through the handshake, and no further."""
    upstream = await origin(OK)
    file = config(upstream.port, authority)
    file["ca_certificates"] = authorities((ROOT, authority), (OTHER, stranger))
    plugin = {"name": "mtls-auth", "config": {"ca_certificates": [OTHER], "skip_consumer_lookup": True}}
    file["services"][0]["routes"].append({"name": "other", "paths": ["/other"], "plugins": [plugin]})
    proxy = await gateway(file, proxy_listen=LISTEN)
    mine, theirs = holding(authority.issue_cert("device.test")), holding(stranger.issue_cert("device.test"))
    statuses = [
        (await talk(proxy.port, context, path=path)).status
        for context in (mine, theirs)
        for path in ("/", "/other")
    ]
    assert statuses == [200, 401, 401, 200]


async def test_an_intermediate_in_between(gateway, origin, authority):
    """A chain that leads to the root is good, with its intermediate sent along."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, authority), proxy_listen=LISTEN)
    child = authority.create_child_ca()
    assert (await talk(proxy.port, holding(child.issue_cert("device.test")))).status == 200


@pytest.mark.parametrize("partial", [True, False])
async def test_an_intermediate_without_its_root(gateway, origin, authority, partial):
    """Enough with allow_partial_chain, and not without."""
    upstream = await origin(OK)
    child = authority.create_child_ca()
    proxy = await gateway(
        config(upstream.port, child, settings={"allow_partial_chain": partial}), proxy_listen=LISTEN
    )
    context = holding(child.issue_cert("device.test"))
    assert await turned_away(proxy.port, context) is not partial


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_taken_up_again_is_the_same_client(gateway, origin, authority, version):
    """A resumed handshake verifies nothing anew; by whom the certificate was vouched for is remembered."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, authority), proxy_listen=LISTEN)
    child = authority.create_child_ca()
    context = holding(child.issue_cert("device.test"), minimum_version=version, maximum_version=version)

    def ask(session):
        with (
            socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock,
            context.wrap_socket(sock, server_hostname="device.test", session=session) as wrapped,
        ):
            wrapped.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            return wrapped.recv(12), wrapped.session, wrapped.session_reused

    status, session, reused = await asyncio.to_thread(ask, None)
    assert (status, reused) == (b"HTTP/1.1 200", False)
    status, _, reused = await asyncio.to_thread(ask, session)
    assert (status, reused) == (b"HTTP/1.1 200", True)


async def test_only_names_of_such_routes_are_asked(gateway, origin, authority):
    """Under another name no certificate is asked for: a browser's user is not made to choose one."""
    upstream = await origin(OK)
    file = config_for(upstream.port, ca_certificates=authorities((ROOT, authority)))
    plugin = {"name": "mtls-auth", "config": {"ca_certificates": [ROOT], "skip_consumer_lookup": True}}
    file["services"][0]["routes"].append(
        {"name": "m", "snis": ["m2m.test"], "paths": ["/"], "protocols": ["https"], "plugins": [plugin]}
    )
    proxy = await gateway(file, proxy_listen=LISTEN)
    asked = []
    for name in ("m2m.test", "M2M.test", "www.test"):
        context = holding(authority.issue_cert("device.test"), maximum_version=ssl.TLSVersion.TLSv1_2)
        context._msg_callback = lambda _c, way, _v, _k, message, _d, name=name: (
            asked.append(name)
            if way == "read" and message == ssl._TLSMessageType.CERTIFICATE_REQUEST
            else None
        )
        assert (await talk(proxy.port, context, name)).status == 200
    assert asked == ["m2m.test", "M2M.test"]


async def test_behind_plain_http_nobody_gets_in(gateway, origin, raw, authority):
    """There is no certificate on such a listener, and no header stands in for one."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, authority))
    client = await raw(proxy.port)
    answer = await client.ask(b"GET / HTTP/1.1\r\nHost: h\r\nX-Client-Cert-Dn: CN=device.test\r\n\r\n")
    assert answer.status == 401


async def test_headers_about_certificates_are_the_gateways(gateway, origin, raw):
    """A client's own never reach an upstream, on routes without the plugin too."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port)
    client = await raw(proxy.port)
    for name in (
        b"X-Client-Cert-Dn",
        b"x-client-cert-san",
        b"X_Client_Cert_Serial",
        b"X-Client-Cert_Fingerprint",
    ):
        await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n%b: admin\r\n\r\n" % name)
    assert not any("admin" in str(request.fields) for request in upstream.requests)
    assert len(upstream.requests) == 4


async def test_authorities_change_with_a_reload(gateway, origin, authority, stranger):
    """From the next handshake on; the old authority vouches for nobody then, on old connections either."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, authority), proxy_listen=LISTEN)
    context = holding(authority.issue_cert("device.test"))
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=context, server_hostname="h")
    request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    writer.write(request)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    await reader.readuntil(b"ok")
    proxy.write(config(upstream.port, stranger))
    assert await proxy.worker.reload()
    assert (await talk(proxy.port, holding(stranger.issue_cert("device.test")))).status == 200
    writer.write(request)
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401")
    writer.close()
    await writer.wait_closed()


async def test_an_authority_that_is_not_in_the_file_refuses_it(gateway, origin, authority):
    """With its place: what would lock everybody out is no slip to start with."""
    upstream = await origin(OK)
    proxy = await gateway(config(upstream.port, authority), proxy_listen=LISTEN)
    file = config(upstream.port, authority)
    file["plugins"][0]["config"]["ca_certificates"] = [ROOT, OTHER]
    proxy.write(file)
    assert not await proxy.worker.reload()
    (problem,) = proxy.worker.config.problems
    assert "plugins[mtls-auth].config.ca_certificates[1]: there is no CA certificate with this id" in problem
