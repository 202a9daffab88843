"""internal-key through a running gateway, in front of backends that guard themselves."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from e2e_gateway import config_for
from e2e_wire import OK

from proxyd.guard import Guard, GuardedASGI, Refused
from proxyd.guard.aiohttp import aiohttp_guard

SECRET = "0123456789abcdef0123456789abcdef"
KEYS = [{"id": "k1", "secret": SECRET}]


def with_key(port, **config):
    return config_for(port, plugins=[{"name": "internal-key", "config": {"keys": KEYS, **config}}])


async def test_a_backend_lets_only_the_gateway_in(gateway):
    """An aiohttp application, with signed bodies: through the gateway 200, directly 403, a replay 403."""
    seen = []

    async def echo(request):
        seen.append(request.headers["X-Internal-Key"])
        return web.Response(body=await request.read())

    application = web.Application(middlewares=[aiohttp_guard(Guard({"k1": SECRET}, require_body=True))])
    application.router.add_route("*", "/{path:.*}", echo)
    async with TestServer(application) as server, httpx.AsyncClient() as client:
        proxy = await gateway(with_key(server.port, sign_body=True))
        through = await client.post(f"http://127.0.0.1:{proxy.port}/a%20b/c?x=%41&y", content=b"hello")
        chunked = await client.put(f"http://127.0.0.1:{proxy.port}/d", content=_pieces())
        direct = f"http://127.0.0.1:{server.port}/d"
        without = await client.post(direct, content=b"hello")
        replay = await client.put(direct, content=b"onetwo", headers={"X-Internal-Key": seen[-1]})
    assert (through.status_code, through.content) == (200, b"hello")
    assert (chunked.status_code, chunked.content) == (200, b"onetwo")
    assert (without.status_code, without.json()) == (
        403,
        {"message": "Not through the gateway: no internal key"},
    )
    assert (replay.status_code, replay.json()) == (403, {"message": "Not through the gateway: replayed"})


async def _pieces():
    yield b"one"
    yield b"two"


async def test_a_clients_key_never_reaches_the_backend(gateway, origin, raw):
    """Nor does one that is spelt with underscores."""
    upstream = await origin(OK)
    proxy = await gateway(with_key(upstream.port, mode="header"))
    client = await raw(proxy.port)
    answer = await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\nx_internal_key: a\r\nX-Internal-Key: b\r\n\r\n")
    request = await upstream.request()
    assert (answer.status, request["x-internal-key"], "x_internal_key" in request) == (200, SECRET, False)


async def asgi(scope, receive, send):
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"] + str(message["more_body"]).encode()})


@pytest.mark.parametrize(("body", "status"), [(b"hello", 200), (b"hullo", 403)])
async def test_an_asgi_application_sees_only_a_verified_body(gateway, origin, raw, body, status):
    """The headers are the gateway's, the application is spoken to as a server does."""
    upstream = await origin(OK)
    proxy = await gateway(with_key(upstream.port, sign_body=True))
    client = await raw(proxy.port)
    await client.ask(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
    key = (await upstream.request())["x-internal-key"]
    guarded = GuardedASGI(asgi, Guard({"k1": SECRET}))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"b=c",
        "headers": [(b"X-Internal-Key", key.encode())],
    }
    pieces = asyncio.Queue()
    for piece, more in ((body[:2], True), (body[2:], False)):
        pieces.put_nowait({"type": "http.request", "body": piece, "more_body": more})
    sent = []

    async def send(message):
        sent.append(message)

    await guarded(scope, pieces.get, send)
    assert sent[0]["status"] == status
    assert (b"helloFalse" in sent[1]["body"]) == (status == 200)


def test_refusals_name_no_secret():
    """What a guard says may be shown to anybody."""
    with pytest.raises(Refused) as caught:
        Guard({"k1": SECRET}, mode="header").check("GET", "/", {"x-internal-key": "guess"})
    assert SECRET not in str(caught.value)
    assert "guess" not in str(caught.value)
