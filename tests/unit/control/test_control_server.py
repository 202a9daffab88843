"""Listeners for aiohttp applications."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass

import aiohttp
import pytest
import trustme
from aiohttp import web

from proxyd.control.server import AppServer
from proxyd.errors import ConfigError


@dataclass
class Listen:
    host: str = "127.0.0.1"
    port: int = 0
    path: str | None = None
    ssl: bool = False


def application():
    async def hello(_request):
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    return app


async def fetch(url, **options):
    async with aiohttp.ClientSession(**options) as session, session.get(url) as response:
        return await response.text()


async def test_it_listens_on_every_address_and_says_where():
    """Ports that the system chose are named, and each of them answers."""
    server = AppServer(application(), [Listen(), Listen()], "status_listen")
    assert repr(server) == "<AppServer status_listen stopped>"
    await server.start()
    first, second = server.addresses
    assert first != second
    assert [await fetch(first), await fetch(second)] == ["hello", "hello"]
    assert first in repr(server)
    await server.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await fetch(first)


async def test_it_listens_on_a_unix_socket_and_removes_it(tmp_path):
    """A socket that a dead process left is taken over; the path is gone after the stop."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = AppServer(application(), [Listen(path=str(path))], "status_listen")
    await server.start()
    assert server.addresses == [f"unix:{path}"]
    assert await fetch("http://any/", connector=aiohttp.UnixConnector(str(path))) == "hello"
    await server.stop()
    assert not path.exists()


async def test_a_unix_socket_that_answers_is_left_to_its_owner(tmp_path):
    """Two gateways do not fight over a path: the second fails, and the first goes on."""
    path = tmp_path / "s.sock"
    first = AppServer(application(), [Listen(path=str(path))], "status_listen")
    await first.start()
    second = AppServer(application(), [Listen(path=str(path))], "status_listen")
    with pytest.raises(
        ConfigError, match=f"status_listen: cannot listen on unix:{path}: Address already in use"
    ):
        await second.start()
    assert await fetch("http://any/", connector=aiohttp.UnixConnector(str(path))) == "hello"
    await first.stop()


async def test_the_path_of_a_successor_is_left_to_it(tmp_path):
    """Who begins while requests to the one before are finished keeps its socket."""
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(_request):
        arrived.set()
        await go.wait()
        return web.Response(text="late")

    app = application()
    app.router.add_get("/slow", slow)
    path = tmp_path / "s.sock"
    first = AppServer(app, [Listen(path=str(path))], "status_listen")
    second = AppServer(application(), [Listen(path=str(path))], "status_listen")
    await first.start()
    asked = asyncio.ensure_future(fetch("http://any/slow", connector=aiohttp.UnixConnector(str(path))))
    await arrived.wait()
    stopping = asyncio.ensure_future(first.stop())
    while path.exists():  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0)
    assert not asked.done()
    await second.start()
    go.set()
    assert await asked == "late"
    await stopping
    assert await fetch("http://any/", connector=aiohttp.UnixConnector(str(path))) == "hello"
    await second.stop()


async def test_tls_is_spoken_where_it_is_asked_for():
    """A listener with ssl uses the context that the server was given."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = AppServer(application(), [Listen(ssl=True)], "admin_listen", context)
    await server.start()
    (address,) = server.addresses
    assert address.startswith("https://127.0.0.1:")
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    assert await fetch(address, connector=aiohttp.TCPConnector(ssl=trusted)) == "hello"
    await server.stop()


async def test_what_cannot_be_bound_is_an_error_that_leaves_nothing_open():
    """The message names setting, address and reason; listeners before it are closed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = AppServer(application(), [Listen(), Listen(port=port)], "status_listen")
        with pytest.raises(ConfigError) as caught:
            await server.start()
    assert str(caught.value).startswith(f"status_listen: cannot listen on 127.0.0.1:{port}: ")
    assert server.addresses == []


async def test_tls_without_a_certificate_is_an_error():
    """A listener with ssl and no context is not opened in plain text."""
    server = AppServer(application(), [Listen(ssl=True)], "admin_listen")
    with pytest.raises(ConfigError, match="there is no certificate"):
        await server.start()


async def test_stopping_works_before_starting():
    """A server that never started has nothing to close."""
    server = AppServer(application(), [], "status_listen")
    await server.stop()
    assert server.addresses == []
