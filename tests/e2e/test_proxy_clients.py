"""Clients that people use, against the demo backend behind a gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil

import aiohttp
import httpx
import pytest

CURL = shutil.which("curl")
curl_needed = pytest.mark.skipif(CURL is None, reason="curl is not installed")


async def curl(*arguments, stdin=b""):
    process = await asyncio.create_subprocess_exec(
        CURL,
        *("--silent", "--show-error", "--max-time", "20", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(stdin)
    assert process.returncode == 0, errors.decode()
    return output


@pytest.fixture
async def proxy(gateway, backend):
    return await gateway(backend.port, client_max_body_size=0)


# --- aiohttp -----------------------------------------------------------------------------------------------------


async def test_aiohttp_uses_rest_and_graphql(proxy):
    """Resources are made, read, changed and removed; a query has its answer."""
    async with aiohttp.ClientSession(proxy.url) as session:
        async with session.post("/orders", json={"item": "tea", "quantity": 2}) as answer:
            assert answer.status == 201
            order = await answer.json()
        async with session.get(f"/orders/{order['id']}") as answer:
            assert (await answer.json())["item"] == "tea"
        async with session.patch(f"/orders/{order['id']}", json={"quantity": 3}) as answer:
            assert (await answer.json())["quantity"] == 3
        async with session.delete(f"/orders/{order['id']}") as answer:
            assert answer.status == 204
        async with session.post("/graphql", json={"query": "{ orders { id item } }"}) as answer:
            assert "errors" not in await answer.json()


async def test_aiohttp_runs_many_requests_at_once(proxy):
    """500 requests over 50 connections are all answered, each with what it asked for."""
    connector = aiohttp.TCPConnector(limit=50)
    async with aiohttp.ClientSession(proxy.url, connector=connector) as session:

        async def one(number):
            async with session.get(f"/headers?n={number}", headers={"X-Number": str(number)}) as answer:
                received = await answer.json()
                return (received["target"], dict(received["headers"])["X-Number"])

        answers = await asyncio.gather(*(one(number) for number in range(500)))
    assert answers == [(f"/headers?n={number}", str(number)) for number in range(500)]


async def test_aiohttp_streams_both_ways(proxy):
    """A chunked upload arrives whole, a chunked download comes back whole."""
    size = 5_000_000

    async def pieces():
        for _ in range(size // 50_000):
            yield bytes(50_000)

    async with aiohttp.ClientSession(proxy.url) as session:
        async with session.post("/upload", data=pieces()) as answer:
            assert await answer.json() == {"bytes": size, "sha256": hashlib.sha256(bytes(size)).hexdigest()}
        async with session.get(f"/download?bytes={size}&chunked=1") as answer:
            assert len(await answer.read()) == size


async def test_aiohttp_waits_for_100_continue(proxy):
    """A client that waits with its body for a 100 gets it."""
    async with (
        aiohttp.ClientSession(proxy.url) as session,
        session.post("/upload", data=b"x" * 1000, expect100=True) as answer,
    ):
        assert (await answer.json())["bytes"] == 1000


# --- httpx -------------------------------------------------------------------------------------------------------


async def test_httpx_reads_events_as_they_come(proxy):
    """Server-Sent Events come one after the other."""
    async with (
        httpx.AsyncClient(base_url=proxy.url) as client,
        client.stream("GET", "/events?n=3&interval=0.02") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        data = [line async for line in answer.aiter_lines() if line.startswith("data:")]
    assert [json.loads(line[5:])["n"] for line in data] == [1, 2, 3]


@pytest.mark.parametrize("status", [200, 201, 204, 304, 404, 418, 500, 503])
async def test_httpx_sees_every_status_of_the_backend(proxy, status):
    """Answers of the backend's keep their status, twice over one connection."""
    async with httpx.AsyncClient(base_url=proxy.url) as client:
        for method in ("GET", "HEAD"):
            assert (await client.request(method, f"/status/{status}")).status_code == status


# --- curl --------------------------------------------------------------------------------------------------------


@curl_needed
async def test_curl_uploads_a_large_file_from_a_pipe(proxy):
    """Curl sends a pipe chunked, and asks for 100 Continue before it does."""
    body = bytes(3_000_000)
    output = await curl("-T", "-", f"{proxy.url}/upload", stdin=body)
    assert json.loads(output) == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


@curl_needed
async def test_curl_posts_with_expect(proxy):
    """A form of over a megabyte is sent behind Expect: 100-continue."""
    output = await curl(
        *("-H", "Expect: 100-continue", "--data-binary", "@-", f"{proxy.url}/upload"), stdin=bytes(1_500_000)
    )
    assert json.loads(output)["bytes"] == 1_500_000


@curl_needed
async def test_curl_speaks_http_1_0(proxy):
    """An old client gets a download of unknown length until the close."""
    assert len(await curl("--http1.0", f"{proxy.url}/download?bytes=100000&chunked=1")) == 100_000


@curl_needed
async def test_curl_is_not_led_into_http_2(proxy):
    """The upgrade to HTTP/2 that curl offers is ignored, as RFC 9110 section 7.8 allows."""
    output = await curl(
        "--http2", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", f"{proxy.url}/headers"
    )
    assert output == b"200 1.1"


@curl_needed
async def test_curl_reuses_its_connection(proxy):
    """Three requests of one curl take one connection."""
    await curl(*[f"{proxy.url}/headers"] * 3, "-w", "%{num_connects}")
    assert proxy.worker.connections().accepted == 1
