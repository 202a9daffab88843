"""Posting to a collector, and what becomes of it."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from proxyd.telemetry.post import Post
from proxyd.telemetry.queue import DeliveryError


@pytest.fixture
async def collector(aiohttp_server):
    """Give what starts a collector that answers with a status; returns its URL and what it is sent."""

    async def start(status):
        taken = []

        async def take(request):
            taken.append((request.path_qs, request.headers["X-Key"], await request.read()))
            return web.Response(status=status, headers={"Location": "/elsewhere"})

        app = web.Application()
        app.router.add_post("/{path:.*}", take)
        server = await aiohttp_server(app)
        return str(server.make_url("/v1/traces?x=1")), taken

    return start


async def post(url, seconds=5.0):
    await asyncio.to_thread(Post(url, {"X-Key": "k"}, 5.0, seconds), b"body")


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_what_is_taken_is_delivered(collector, status):
    """The body goes to the path and query of the URL, with the headers."""
    url, taken = await collector(status)
    await post(url)
    assert taken == [("/v1/traces?x=1", "k", b"body")]


@pytest.mark.parametrize(
    ("status", "again"), [(503, True), (429, True), (400, False), (404, False), (302, False)]
)
async def test_the_status_says_whether_to_try_again(collector, status, again):
    """What is refused as it is, will be refused again; a redirect is not followed."""
    url, taken = await collector(status)
    with pytest.raises(DeliveryError, match=f"^status {status}$") as caught:
        await post(url)
    assert caught.value.again is again
    assert len(taken) == 1


async def test_a_collector_that_is_away_may_come_back():
    """A connection that is refused is told in the system's own words."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(DeliveryError, match="refused") as caught:
            await post(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert caught.value.again


async def test_a_collector_that_hangs_has_its_time():
    """Nobody answers: that ends with the timeout."""
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(DeliveryError, match="timed out") as caught:
        await post(f"http://me:secret@127.0.0.1:{silent.getsockname()[1]}/", 0.05)
    assert caught.value.again


async def test_what_is_not_http_is_an_error_like_any_other():
    """A server of another kind ends the attempt, no more."""

    async def answer(reader, writer):
        await reader.readuntil(b"body")
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        with pytest.raises(DeliveryError, match="ESMTP"):
            await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


def test_nothing_secret_is_shown():
    """A repr is host and port."""
    assert repr(Post("https://me:secret@h:1/x?key=secret", {"Key": "secret"}, 1.0, 1.0)) == "<Post h:1>"
