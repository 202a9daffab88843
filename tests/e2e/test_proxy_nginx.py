"""A real nginx on either side: as the backend, and as the proxy in front that is to be trusted."""

from __future__ import annotations

import aiohttp
import pytest
from e2e_nginx import NGINX, TEMPORARY, WITHOUT, start_nginx, stop_nginx
from e2e_wire import OK, closed_port

pytestmark = pytest.mark.skipif(NGINX is None, reason=WITHOUT)

SHELL = """
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
{temporary}
    server {{ listen 127.0.0.1:{port}; {server} }}
}}
"""


@pytest.fixture
async def nginx(tmp_path):
    """Give what starts an nginx with the content of its one server block; returns its port."""
    running = []

    async def start(server):
        port = closed_port()
        directory = tmp_path / f"nginx{len(running)}"
        directory.mkdir()
        temporary = TEMPORARY.format(directory=directory)
        text = SHELL.format(temporary=temporary, port=port, server=server)
        running.append(await start_nginx(directory, text, port))
        return port

    yield start
    for process in running:
        await stop_nginx(process)


async def test_nginx_as_the_backend(gateway, nginx, tmp_path):
    """Files, ranges, revalidation and errors of an nginx go through as it sends them."""
    (tmp_path / "page.txt").write_bytes(b"0123456789" * 100_000)
    port = await nginx(f"location / {{ root {tmp_path}; }} location /no {{ return 403; }}")
    proxy = await gateway(port)
    async with aiohttp.ClientSession(proxy.url) as session:
        async with session.get("/page.txt") as answer:
            assert (answer.status, len(await answer.read())) == (200, 1_000_000)
            etag = answer.headers["ETag"]
            assert answer.headers["Server"].startswith("nginx")
        async with session.get("/page.txt", headers={"Range": "bytes=5-14"}) as answer:
            assert (answer.status, await answer.text()) == (206, "5678901234")
            assert answer.headers["Content-Range"] == "bytes 5-14/1000000"
        async with session.get("/page.txt", headers={"If-None-Match": etag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        async with session.head("/page.txt") as answer:
            assert answer.headers["Content-Length"] == "1000000"
        async with session.get("/no") as answer:
            assert answer.status == 403
            assert "nginx" in await answer.text()
        async with session.get("/missing") as answer:
            assert answer.status == 404
    assert proxy.worker.connections().accepted == 1


async def test_an_nginx_that_ends_its_connections_loses_no_request(gateway, nginx, raw):
    """A backend that closes after every third request is never the client's problem."""
    port = await nginx("keepalive_requests 3; location / { return 200 ok; }")
    proxy = await gateway(port)
    client = await raw(proxy.port)
    for _ in range(100):
        assert (await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).body == b"ok"
    lines = await proxy.log_lines(100)
    assert {line["tries"] for line in lines} == {1}


async def test_nginx_in_front(gateway, origin, nginx, raw):
    """With nginx trusted, the origin and the log know the client that nginx saw, and the scheme that it spoke."""
    upstream = await origin(OK)
    proxy = await gateway(
        upstream.port, trusted_ips="127.0.0.1", real_ip_header="X-Forwarded-For", real_ip_recursive="on"
    )
    port = await nginx(
        f"""location / {{
            proxy_pass {proxy.url};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For "203.0.113.7";
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Port 443;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Kong-Request-Id $request_id;
        }}"""
    )
    client = await raw(port)
    answer = await client.ask(
        b"POST /a?b=c HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 4\r\n\r\nbody"
    )
    assert (answer.status, answer.body) == (200, b"ok")
    request = await upstream.request()
    assert (request.start, request.body) == ("POST /a?b=c HTTP/1.1", b"body")
    assert request["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
    assert (request["x-real-ip"], request["x-forwarded-proto"]) == ("203.0.113.7", "https")
    assert (request["x-forwarded-host"], request["x-forwarded-port"]) == ("shop.example.com", "443")
    assert answer["x-kong-request-id"] == request["x-kong-request-id"]
    (line,) = await proxy.log_lines()
    assert (line["client_ip"], line["scheme"], line["host"]) == ("203.0.113.7", "https", "shop.example.com")
    assert line["request_id"] == request["x-kong-request-id"]
