"""TLS towards clients: which certificate, which versions, and what a route makes of it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass

import pytest
import trustme
from e2e_gateway import config_for
from e2e_wire import OK
from websockets.asyncio.client import connect

LISTEN = "127.0.0.1:0 ssl"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@dataclass
class Talk:
    """What came of one connection."""

    version: str
    alpn: str | None
    names: set[str]
    answer: bytes

    @property
    def status(self):
        return int(self.answer.split(b" ")[1])


def trusting(authority=None, **attributes):
    context = ssl.create_default_context()
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        authority.configure_trust(context)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


async def talk(port, context, name=None, host=None, path="/"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: {host or name or 'h'}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        tls = writer.get_extra_info("ssl_object")
        certificate = tls.getpeercert() or {}
        names = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
        return Talk(tls.version(), tls.selected_alpn_protocol(), names, answer)
    finally:
        writer.close()
        await writer.wait_closed()


def pem(authority, *names):
    issued = authority.issue_cert(*names)
    return {
        "cert": b"".join(blob.bytes() for blob in issued.cert_chain_pems).decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }


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


async def test_large_bodies_pass_over_tls(gateway, origin):
    """An answer of many records arrives whole."""
    body = bytes(range(256)) * 20_000
    upstream = await origin(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    proxy = await gateway(upstream.port, proxy_listen=LISTEN)
    assert (await talk(proxy.port, trusting(), "localhost")).answer.endswith(body)
