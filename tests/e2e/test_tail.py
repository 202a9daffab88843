"""The live tail of running gateways: requests of every worker as they finish, with their secrets masked."""

from __future__ import annotations

import asyncio
import json

import aiohttp
from e2e_gateway import config_for
from e2e_wire import OK


async def events(response):
    """Iterate over what a stream tells."""
    async for text in response.content:
        if text.startswith(b"data: "):
            yield json.loads(text.removeprefix(b"data: "))


async def requests(response, count):
    """Return the first requests that a stream tells of."""
    found = []
    async with asyncio.timeout(30):
        async for told in events(response):
            found += told["requests"]
            if len(found) >= count:
                return found
    raise AssertionError(found)


async def probe(ask):
    """Send requests until somebody has seen one."""
    while True:
        await ask("/many/probe")
        await asyncio.sleep(0.1)


async def until(condition):
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_requests_are_seen_as_they_finish(gateway, origin, raw):
    """Filtered, masked as in the access log; without a watcher the request path does not know of it."""
    one = await gateway((await origin(OK)).port, admin_listen="127.0.0.1:0", proxy_access_log="off")
    telemetry = one.worker.telemetry
    assert telemetry._note is None
    wire = await raw(one.port)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{one.admin_url}/dashboard/tail", params={"path": "orders"}) as response:
            assert response.status == 200
            await until(lambda: telemetry._note is not None)
            for path in (b"/else", b"/Orders/7?apikey=hush-hush"):
                await wire.ask(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            (seen,) = await requests(response, 1)
        assert (seen["path"], seen["status"], seen["route"]) == ("/Orders/7", 200, "main")
        assert seen["query"] == "apikey=REDACTED"
        await until(lambda: telemetry._note is None)


async def test_every_worker_is_watched_through_the_master(gang, origin, raw, tmp_path):
    """What any of them has answered is counted, and told in the order of time."""
    one = await gang(
        config_for((await origin(OK)).port), PROXYD_ADMIN_LISTEN=f"unix:{tmp_path / 'admin.sock'}"
    )

    async def ask(path):
        return await (await raw(one.port)).ask(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())

    connector = aiohttp.UnixConnector(str(tmp_path / "admin.sock"))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://localhost/dashboard/tail?path=many") as response,
        asyncio.timeout(30),
    ):
        probing = asyncio.create_task(probe(ask))
        told = events(response)
        while not (await anext(told))["requests"]:
            pass  # once one has told, all have been asked
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        for number in range(40):  # each on a connection of its own, so that both workers have some
            await ask(f"/many/{number}")
        found = []
        while len(found) < 40:
            news = await anext(told)
            found += [line["path"] for line in news["requests"] if line["path"] != "/many/probe"]
        assert news["left_out"] == 0
        assert sorted(found) == sorted(f"/many/{number}" for number in range(40))
