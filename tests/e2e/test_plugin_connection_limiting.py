"""connection-limiting through a running gateway: whichever way a request ends, it is let go of exactly once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from e2e_gateway import config_for
from e2e_wire import OK, PATIENCE, closed_port
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def limited(target, **config):
    return config_for(target, plugins=[{"name": "connection-limiting", "config": config}])


async def nothing_under_way(proxy):
    """Wait until the gateway holds nothing."""
    async with asyncio.timeout(PATIENCE):
        while proxy.worker._counting.under_way.counts:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)


async def test_requests_at_the_same_time(gateway, origin, raw):
    """The third of one address is refused while two wait; each end makes room."""
    gate = asyncio.Event()

    async def slow(wire):
        with contextlib.suppress(EOFError):
            while True:
                await wire.message()
                await gate.wait()
                await wire.send(OK)

    upstream = await origin(slow)
    proxy = await gateway(limited(upstream.port, per_ip=2))
    waiting = [asyncio.ensure_future((await raw(proxy.port)).ask(GET)) for _ in range(2)]
    await upstream.wire(1)
    answer = await (await raw(proxy.port)).ask(GET)
    assert (answer.status, answer["retry-after"]) == (429, "1")
    gate.set()
    assert [one.status for one in await asyncio.gather(*waiting)] == [200, 200]
    await nothing_under_way(proxy)
    assert (await (await raw(proxy.port)).ask(GET)).status == 200


async def hangs(wire):
    await wire.message()
    await asyncio.Event().wait()


async def breaks(wire):
    await wire.message()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    wire.close()


async def nonsense(wire):
    await wire.message()
    await wire.send(b"nonsense\r\n\r\n")
    wire.close()


@pytest.mark.parametrize("script", [hangs, breaks, nonsense, None])
async def test_every_end_lets_go(gateway, origin, raw, script):
    """The client leaves, the upstream breaks off or talks nonsense, or there is none."""
    port = (await origin(script)).port if script else closed_port()
    proxy = await gateway(limited(port, per_ip=1))
    for _ in range(3):
        client = await raw(proxy.port)
        if script is hangs:  # a client that wants no more requests may close its half and wait
            await client.send(GET)
            async with asyncio.timeout(PATIENCE):
                while not proxy.worker._counting.under_way.counts:  # noqa: ASYNC110  # the same
                    await asyncio.sleep(0.01)
        else:
            await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await client.rest()
        client.close()
        await nothing_under_way(proxy)


async def test_a_websocket_counts_until_it_ends(gateway, backend):
    """Over a reload too."""
    config = limited(backend.port, per_ip=1)
    proxy = await gateway(config)
    url = proxy.url.replace("http", "ws") + "/ws"
    async with connect(url) as first:
        await first.send("hello")
        assert await first.recv() == "hello"
        for _ in range(2):
            with pytest.raises(InvalidStatus, match="429"):
                await connect(url)
            config["plugins"][0]["config"]["error_message"] = "Full"
            proxy.write(config)
            assert await proxy.worker.reload()
    await nothing_under_way(proxy)
    async with connect(url) as second:
        await second.send("hello")
        assert await second.recv() == "hello"
