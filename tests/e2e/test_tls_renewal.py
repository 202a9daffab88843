"""Certificates that are renewed in their files, while connections go on."""

from __future__ import annotations

import asyncio
import os
import ssl

import httpx
import pytest
import trustme
from e2e_gateway import config_for
from e2e_tls import pem, talk, trusting
from e2e_wire import OK, PATIENCE

from proxyd.cli.main import main

LISTEN = "127.0.0.1:0 ssl"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


class Files:
    """A pair in two files, replaced as tools do it: each by renaming a new one over it."""

    def __init__(self, directory):
        self.cert = directory / "site.pem"
        self.key = directory / "site.key"

    def write(self, pair, parts=("cert", "key")):
        for part in parts:
            path = getattr(self, part)
            fresh = path.with_suffix(".new")
            fresh.write_text(pair[part])
            os.replace(fresh, path)  # noqa: PTH105


@pytest.fixture
def files(tmp_path, authority):
    made = Files(tmp_path)
    made.write(pem(authority, "site.test", "old.test"))
    return made


async def eventually(condition):
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  # what is looked at tells nobody
            await asyncio.sleep(0.01)


async def look(proxy):
    """Do what the watch does at its interval."""
    worker = proxy.worker
    await worker.tls.look(worker._loaded.configuration, worker._renew)


async def metrics_of(proxy):
    async with httpx.AsyncClient(base_url=proxy.status_url) as http:
        return (await http.get("/metrics")).text


def site(port, files):
    return config_for(
        port, certificates=[{"cert": str(files.cert), "key": str(files.key), "snis": ["site.test"]}]
    )


@pytest.mark.parametrize("where", ["certificates", "ssl_cert"])
async def test_a_renewed_file_is_noticed(gateway, origin, authority, files, where):
    """The watch takes it over by itself; a connection from before goes on."""
    upstream = await origin(OK)
    settings = {"proxy_listen": LISTEN, "ssl_watch_interval": 0.05}
    if where == "certificates":
        proxy = await gateway(site(upstream.port, files), **settings)
    else:
        pair = {"ssl_cert": str(files.cert), "ssl_cert_key": str(files.key)}
        proxy = await gateway(upstream.port, **settings, **pair)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.port, ssl=trusting(authority), server_hostname="site.test"
    )
    files.write(pem(authority, "site.test", "new.test"))

    async def shows_the_new_one():
        return "new.test" in (await talk(proxy.port, trusting(authority), "site.test")).names

    await eventually(shows_the_new_one)
    writer.write(GET)
    assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    await writer.wait_closed()
    assert proxy.worker.config.generation == 1
    assert proxy.worker.tls_state.failed == 0


async def test_a_bad_pair_leaves_the_old_one(gateway, origin, authority, files, capfd):
    """A key that is not the certificate's changes nothing, is told once, and the right key mends it."""
    upstream = await origin(OK)
    proxy = await gateway(site(upstream.port, files), proxy_listen=LISTEN, ssl_watch_interval=0)
    renewed = pem(authority, "site.test", "new.test")
    files.write(renewed, ["cert"])
    await look(proxy)
    await look(proxy)
    assert "old.test" in (await talk(proxy.port, trusting(authority), "site.test")).names
    told = [line for line in capfd.readouterr().err.splitlines() if "certificates not renewed" in line]
    assert len(told) == 1
    assert (
        f"{files.cert} and {files.key}: certificate is not usable: the key is not the certificate's"
        in told[0]
    )
    assert f"{proxy.file}:1:" in told[0]
    assert 'proxyd_certificate_renewals_total{result="failure"} 1.0' in await metrics_of(proxy)
    files.write(renewed, ["key"])
    await look(proxy)
    assert "new.test" in (await talk(proxy.port, trusting(authority), "site.test")).names
    assert 'proxyd_certificate_renewals_total{result="success"} 1.0' in await metrics_of(proxy)


async def test_a_file_that_is_gone_leaves_the_old_one(gateway, origin, authority, files):
    """It is a change that cannot be taken over; so is one that comes back the same, which costs nothing."""
    upstream = await origin(OK)
    proxy = await gateway(site(upstream.port, files), proxy_listen=LISTEN, ssl_watch_interval=0)
    files.key.unlink()
    await look(proxy)
    assert (await talk(proxy.port, trusting(authority), "site.test")).status == 200
    assert (proxy.worker.tls_state.succeeded, proxy.worker.tls_state.failed) == (0, 1)


async def test_an_unread_configuration_is_not_taken_over_with_a_certificate(
    gateway, origin, authority, files
):
    """Renewal compiles what runs: a file that was edited and not reloaded waits for its reload."""
    upstream = await origin(OK)
    proxy = await gateway(site(upstream.port, files), proxy_listen=LISTEN, ssl_watch_interval=0)
    proxy.write({"_format_version": "3.0"})
    files.write(pem(authority, "site.test", "new.test"))
    await look(proxy)
    seen = await talk(proxy.port, trusting(authority), "site.test")
    assert (seen.status, "new.test" in seen.names) == (200, True)


async def test_the_end_of_each_certificate_is_a_metric(gateway, origin, authority, files):
    """Whether in a file or in the text, with where it is configured and whom it is for."""
    upstream = await origin(OK)
    proxy = await gateway(
        site(upstream.port, files),
        proxy_listen=LISTEN,
        ssl_cert=[str(files.cert)],
        ssl_cert_key=[str(files.key)],
    )
    certificate = ssl._ssl._test_decode_cert(str(files.cert))
    ends = float(ssl.cert_time_to_seconds(certificate["notAfter"]))
    (sample,) = [
        line for line in (await metrics_of(proxy)).splitlines() if 'certificate="ssl_cert[0]"' in line
    ]
    assert 'use="server"' in sample
    assert 'name="site.test"' in sample
    assert float(sample.rpartition(" ")[2]) == ends


async def test_a_renewed_certificate_for_upstreams(gateway, authority, files, raw):
    """The next connection to an upstream shows the new one; nothing is reloaded by hand."""
    shown = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED

    async def serve(reader, writer):
        names = writer.get_extra_info("peercert")["subjectAltName"]
        shown.append({value for _, value in names})
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    identity = "3a4f2c1e-0000-4000-8000-000000000002"
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server) as backend:
        port = backend.sockets[0].getsockname()[1]
        proxy = await gateway(
            config_for(
                f"https://localhost:{port}",
                service={"client_certificate": identity, "retries": 0},
                certificates=[{"id": identity, "cert": str(files.cert), "key": str(files.key)}],
            ),
            ssl_watch_interval=0,
        )
        client = await raw(proxy.port)
        await client.send(GET)
        await client.message(bodiless=True)
        files.write(pem(authority, "gateway.test"))
        await look(proxy)
        await client.send(GET)
        await client.message(bodiless=True)
    assert shown == [{"site.test", "old.test"}, {"gateway.test"}]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "shop.localhost"])
async def test_a_certificate_to_develop_with(gateway, origin, tmp_path, name):
    """What ``proxyd dev-cert`` has made is verified by a client that trusts its authority; renewal is taken over."""
    directory = tmp_path / "tls"
    command = ["dev-cert", "--directory", str(directory), "shop.localhost"]
    assert await asyncio.to_thread(main, command) == 0
    upstream = await origin(OK)
    proxy = await gateway(
        upstream.port,
        proxy_listen=LISTEN,
        ssl_cert=str(directory / "cert.pem"),
        ssl_cert_key=str(directory / "cert.key"),
        ssl_watch_interval=0,
    )
    client = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    assert (await talk(proxy.port, client, name)).status == 200
    assert await asyncio.to_thread(main, command) == 0
    await look(proxy)
    assert (await talk(proxy.port, client, name)).status == 200
    assert proxy.worker.tls_state.succeeded == 1
