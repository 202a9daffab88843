"""http-log through a running gateway, before collectors that work, fail, hang, and are not there."""

from __future__ import annotations

import asyncio
import base64
import ssl

import pytest
import trustme
from e2e_gateway import config_for
from e2e_records import Collector, uris
from e2e_wire import OK

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


def logged(port, endpoint, **config):
    return config_for(port, plugins=[{"name": "http-log", "config": {"http_endpoint": endpoint, **config}}])


def expected(count):
    return [f"/{number}" for number in range(count)]


def output(proxy):
    (one,) = proxy.worker.telemetry.logs
    return one


@pytest.fixture
async def ask(raw):
    """Give what sends requests to a gateway, all of which are answered."""

    async def some(proxy, count, start=0):
        client = await raw(proxy.port)
        statuses = [(await client.ask(GET % number)).status for number in range(start, start + count)]
        assert statuses == [200] * count

    return some


async def test_records_arrive(gateway, origin, ask):
    """One object each, in order, with the method, headers and credentials asked for."""
    upstream = await origin(OK)
    async with Collector() as collector:
        endpoint = f"http://user:pa%3Ass@127.0.0.1:{collector.port}/in?x=1"
        headers = {"X-Team": "shop"}
        proxy = await gateway(logged(upstream.port, endpoint, method="PUT", headers=headers))
        await ask(proxy, 3)
        assert uris(await collector.until(3)) == expected(3)
        assert collector.records == collector.bodies
        method, target, sent = collector.headers[0]
        assert (method, target, sent["X-Team"], sent["Content-Type"]) == (
            "PUT",
            "/in?x=1",
            "shop",
            "application/json",
        )
        assert base64.b64decode(sent["Authorization"].removeprefix("Basic ")) == b"user:pa:ss"


async def test_batches(gateway, origin, ask):
    """Arrays of as many as are asked for; the last goes out when the gateway stops."""
    upstream = await origin(OK)
    async with Collector() as collector:
        queue = {"max_batch_size": 4, "max_coalescing_delay": 3600}
        proxy = await gateway(logged(upstream.port, f"http://127.0.0.1:{collector.port}/", queue=queue))
        await ask(proxy, 10)
        await collector.until(8)
        await proxy.worker.stop()
        assert [len(body) for body in collector.bodies] == [4, 4, 2]
        assert uris(collector.records) == expected(10)


async def test_a_collector_that_fails_at_first(gateway, origin, ask):
    """500 and a reset cost a further try each, and nothing is lost, repeated or out of order."""
    upstream = await origin(OK)
    async with Collector(500, "reset", 200, 503, 429) as collector:
        proxy = await gateway(logged(upstream.port, f"http://127.0.0.1:{collector.port}/"))
        await ask(proxy, 6)
        assert uris(await collector.until(6)) == expected(6)
        assert collector.refused == 4
        assert (output(proxy).sent, output(proxy).dropped) in {
            (6, 0),
            (5, 0),
        }  # the last answer may be under way


async def test_a_collector_that_comes_later(gateway, origin, ask):
    """Requests are answered while nobody listens; their records arrive when somebody does."""
    upstream = await origin(OK)
    async with Collector() as gone:
        port = gone.port
    proxy = await gateway(logged(upstream.port, f"http://127.0.0.1:{port}/", queue={"max_retry_delay": 0.05}))
    await ask(proxy, 5)
    async with Collector(port=port) as collector:
        assert uris(await collector.until(5)) == expected(5)


async def test_a_collector_that_hangs(gateway, origin, ask):
    """Requests are answered, so many records wait, the older ones make room, and the count is exact."""
    upstream = await origin(OK)
    release = asyncio.Event()
    async with Collector(release) as collector:
        queue = {"max_entries": 10}
        proxy = await gateway(logged(upstream.port, f"http://127.0.0.1:{collector.port}/", queue=queue))
        await ask(proxy, 1)
        async with asyncio.timeout(10):
            while collector.answers:  # noqa: ASYNC110  # the first delivery hangs
                await asyncio.sleep(0.01)
        await ask(proxy, 50, start=1)
        async with asyncio.timeout(10):
            while output(proxy).dropped < 40:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert output(proxy).waiting == 11
        release.set()
        assert uris(await collector.until(11)) == ["/0", *expected(51)[41:]]
        assert output(proxy).dropped == 40


async def test_a_reload_keeps_the_queue(gateway, origin, ask):
    """What waits for the collector is neither lost nor sent twice."""
    upstream = await origin(OK)
    release = asyncio.Event()
    async with Collector(release) as collector:
        proxy = await gateway(logged(upstream.port, f"http://127.0.0.1:{collector.port}/"))
        await ask(proxy, 3)
        before = output(proxy)
        assert await proxy.worker.reload()
        assert output(proxy) is before
        await ask(proxy, 3, start=3)
        release.set()
        assert uris(await collector.until(6)) == expected(6)


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_collectors_certificate_is_verified(gateway, origin, ask, tmp_path, trusted):
    """Against what trusted_certificate names; without, nothing is sent."""
    upstream = await origin(OK)
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    settings = {"trusted_certificate": str(file)} if trusted else {}
    async with Collector(ssl=context) as collector:
        queue = {"max_retry_time": -1}
        proxy = await gateway(
            logged(upstream.port, f"https://127.0.0.1:{collector.port}/", queue=queue), **settings
        )
        await ask(proxy, 2)
        one = output(proxy)
        async with asyncio.timeout(10):
            while one.sent + one.dropped < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (one.sent, one.dropped, len(collector.records)) == ((2, 0, 2) if trusted else (0, 2, 0))
