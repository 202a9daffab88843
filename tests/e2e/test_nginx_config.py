"""The nginx configurations that ship, in front of a running gateway: only paths and ports are changed."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest
import trustme
from e2e_gateway import config_for
from e2e_nginx import NGINX, STREAM, TEMPORARY, WITHOUT, start_nginx, stop_nginx
from e2e_tls import pem, talk, trusting
from e2e_wire import OK, closed_port
from websockets.asyncio.client import connect

CONFIG = Path(__file__).parents[2] / "config"
# What the comments of the files tell proxyd to be given.
BEHIND_HTTP = {"trusted_ips": "127.0.0.1", "real_ip_header": "X-Forwarded-For"}
BEHIND_STREAM = {
    "proxy_listen": "127.0.0.1:0 ssl proxy_protocol",
    "trusted_ips": "127.0.0.1",
    "real_ip_header": "proxy_protocol",
}
CLIENT = "127.0.0.2"  # an address of the client that is nobody else's

pytestmark = pytest.mark.skipif(NGINX is None, reason=WITHOUT)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
async def front(tmp_path, authority):
    """Give what starts nginx with a file that ships, in front of a port; returns its ports for http and https."""
    running = []

    async def start(name, upstream):
        directory = tmp_path / name
        directory.mkdir()
        pair = pem(authority, "shop.test")
        (directory / "site.pem").write_text(pair["cert"])
        (directory / "site.key").write_text(pair["key"])
        plain, secure = closed_port(), closed_port()
        text = (CONFIG / name).read_text()
        for pattern, changed in (
            (r"worker_processes auto", "worker_processes 1"),  # each has a pool of its own
            (r"listen 80;", f"listen 127.0.0.1:{plain};"),
            (r"listen 443", f"listen 127.0.0.1:{secure}"),
            (r"server 127\.0\.0\.1:\d+;", f"server 127.0.0.1:{upstream};"),
            (r"/etc/proxyd/tls/", f"{directory}/"),
            (r"/var/log/nginx/", f"{directory}/"),
            (r"^http \{\n", "http {\n" + TEMPORARY.format(directory=directory)),
        ):
            text = re.sub(pattern, changed, text, flags=re.MULTILINE)
        if name == "nginx-stream.conf":
            text = f"load_module {STREAM};\n{text}"
        ports = (secure,) if name == "nginx-stream.conf" else (plain, secure)
        running.append(await start_nginx(directory, text, *ports))
        return plain, secure

    yield start
    for process in running:
        await stop_nginx(process)


async def open_tls(port, authority):
    return await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting(authority), server_hostname="shop.test", local_addr=(CLIENT, 0)
    )


async def test_the_client_of_nginx_is_the_client(gateway, origin, front, authority, raw):
    """Its address, scheme and host reach the log and the upstream; what it forges of them does not."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **BEHIND_HTTP)
    plain, secure = await front("nginx.conf", proxy.port)
    reader, writer = await open_tls(secure, authority)
    writer.write(
        b"GET /a?b=c HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n"
        b"X-Forwarded-Proto: http\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-Path: /evil\r\n"
        b"X-Kong-Request-Id: mine\r\nConnection: close\r\n\r\n"
    )
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    request = await upstream.request()
    assert (request["x-real-ip"], request["x-forwarded-for"]) == (CLIENT, f"{CLIENT}, 127.0.0.1")
    assert (request["x-forwarded-proto"], request["x-forwarded-host"]) == ("https", "shop.test")
    assert "/evil" not in str(request.fields)
    assert "1.2.3.4" not in str(request.fields)
    (line,) = await proxy.log_lines()
    assert (line["client_ip"], line["scheme"], line["host"]) == (CLIENT, "https", "shop.test")
    assert line["request_id"] == request["x-kong-request-id"] != "mine"
    insecure = await (await raw(plain)).ask(b"GET /a?b=c HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    assert (insecure.status, insecure["location"]) == (308, "https://shop.test/a?b=c")


async def test_a_connection_to_the_gateway_is_kept(gateway, origin, front, authority):
    """Five clients in a row are one connection of nginx's."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **BEHIND_HTTP)
    _, secure = await front("nginx.conf", proxy.port)
    assert [(await talk(secure, trusting(authority), "shop.test")).status for _ in range(5)] == [200] * 5
    assert proxy.worker.connections().accepted == 1


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_browsers_are_spoken_to_in_http_2(gateway, origin, front, authority, tmp_path):
    """And the gateway in HTTP/1.1, a body included."""
    upstream = await origin(OK)
    proxy = await gateway(upstream.port, **BEHIND_HTTP)
    _, secure = await front("nginx.conf", proxy.port)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    command = ["curl", "-sS", "--http2", "--cacert", str(tmp_path / "ca.pem"), "--data", "body"]
    where = ["--resolve", f"shop.test:{secure}:127.0.0.1", f"https://shop.test:{secure}/"]
    process = await asyncio.create_subprocess_exec(
        *command, "-w", " %{http_version} %{http_code}", *where, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output == b"ok 2 200"
    request = await upstream.request()
    assert (request.start, request.body, request["x-forwarded-host"]) == (
        "POST / HTTP/1.1",
        b"body",
        "shop.test",
    )


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-stream.conf"])
async def test_websockets_and_events_go_through_as_they_come(
    gateway, backend, origin, front, authority, name
):
    """A message is echoed, and an event arrives before the next one is sent."""
    if name == "nginx-stream.conf" and STREAM is None:
        pytest.skip("nginx's stream module is not installed (Debian package libnginx-mod-stream)")
    arrived = asyncio.Event()

    async def script(wire):
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await asyncio.wait_for(arrived.wait(), 10)
        await wire.send(b"data: 2\n\n")
        wire.close()

    events = await origin(script)
    config = config_for(backend.port)
    config["certificates"] = [{**pem(authority, "shop.test"), "snis": ["shop.test"]}]
    config["services"].append(
        {"name": "events", "url": events.url, "routes": [{"name": "events", "paths": ["/slow"]}]}
    )
    proxy = await gateway(config, **(BEHIND_HTTP if name == "nginx.conf" else BEHIND_STREAM))
    _, secure = await front(name, proxy.port)
    url = f"wss://shop.test:{secure}/ws"
    async with connect(url, ssl=trusting(authority), host="127.0.0.1", max_size=None) as websocket:
        for message in ("hello", b"x" * 1_000_000):
            await websocket.send(message)
            assert await websocket.recv() == message
    reader, writer = await open_tls(secure, authority)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        assert b"data: 1" in await reader.readuntil(b"data: 1\n\n")
        arrived.set()
        assert b"data: 2" in await reader.read()
    writer.close()
    await writer.wait_closed()
    lines = await proxy.log_lines(2)
    assert [line["upgraded"] for line in lines] == [True, False]
    assert lines[1]["client_ip"] == CLIENT


@pytest.mark.skipif(
    STREAM is None, reason="nginx's stream module is not installed (Debian: libnginx-mod-stream)"
)
async def test_the_client_of_a_balancer_is_the_client(gateway, origin, front, authority):
    """TLS ends at the gateway, with its certificate; the address comes in the PROXY header."""
    upstream = await origin(OK)
    certificates = [{**pem(authority, "shop.test"), "snis": ["shop.test"]}]
    proxy = await gateway(config_for(upstream.port, certificates=certificates), **BEHIND_STREAM)
    _, secure = await front("nginx-stream.conf", proxy.port)
    reader, writer = await open_tls(secure, authority)
    writer.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    request = await upstream.request()
    assert (request["x-forwarded-for"], request["x-real-ip"]) == (CLIENT, CLIENT)
    assert request["x-forwarded-port"] == str(secure)
    (line,) = await proxy.log_lines()
    assert (line["client_ip"], line["tls_version"]) == (CLIENT, "TLSv1.3")
