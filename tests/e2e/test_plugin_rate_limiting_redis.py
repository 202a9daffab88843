"""Limits that several gateways keep in one real Redis, and what holds while it is away."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from itertools import chain

import pytest
from e2e_command import Running
from e2e_gateway import config_for
from e2e_wire import OK
from redis_case import RedisServer

LIMIT, CLIENTS = 100, 64
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def redis(tmp_path):
    one = await RedisServer.start(tmp_path)
    yield one
    await one.kill()


@pytest.fixture
async def processes(tmp_path):
    """Give what starts gateways that are processes of their own."""
    running = []

    async def start(config, number):
        file = tmp_path / "kong.json"
        file.write_text(json.dumps(config))
        for place in range(number):
            directory = tmp_path / f"process{place}"
            directory.mkdir()
            running.append(await Running.start(file, directory))
        return running

    yield start
    for one in running:
        await one.kill()


def limited(upstream, server, limit=LIMIT, **config):
    settings = {"year": limit, "limit_by": "service", "policy": "redis", **config}
    settings.setdefault("redis", {"host": "127.0.0.1", "port": server.port})
    return config_for(upstream.port, plugins=[{"name": "rate-limiting", "config": settings}])


async def asked(raw, ports, clients, times):
    """Return the statuses that so many clients got, each of whom asked so often."""

    async def ask(number):
        client = await raw(ports[number % len(ports)])
        return [(await client.ask(GET)).status for _ in range(times)]

    return Counter(chain.from_iterable(await asyncio.gather(*map(ask, range(clients)))))


async def test_the_limit_is_exact_over_two_gateways(processes, origin, raw, redis):
    """64 clients of two processes ask three times as often as they may."""
    upstream = await origin(OK)
    gateways = await processes(limited(upstream, redis, fault_tolerant=False), 2)
    statuses = await asked(raw, [one.port for one in gateways], CLIENTS, 5)
    assert statuses == {200: LIMIT, 429: CLIENTS * 5 - LIMIT}
    assert len(upstream.requests) == LIMIT


@pytest.mark.parametrize("how", ["pause", "kill"])
async def test_redis_away_and_fault_tolerant(gateway, origin, raw, redis, capfd, how):
    """Requests are counted on the machine meanwhile, one warning tells of it, and a metric; then it is as before."""
    upstream = await origin(OK)
    where = {"host": "127.0.0.1", "port": redis.port, "timeout": 300}
    proxy = await gateway(limited(upstream, redis, limit=10, redis=where))
    assert await asked(raw, [proxy.port], 1, 1) == {200: 1}
    if how == "pause":
        redis.pause()
    else:
        await redis.kill()
    assert await asked(raw, [proxy.port], 20, 2) == {200: 10, 429: 30}
    limits = proxy.worker.limits()
    assert limits.fallbacks["redis"] == 40
    assert list(limits.redis.values()) == [False]
    if how == "pause":
        redis.resume()
    else:
        assert await redis.run()
    async with asyncio.timeout(20):
        while not all(proxy.worker.limits().redis.values()):  # noqa: ASYNC110  # it tells its log only
            await asyncio.sleep(0.02)
    await asked(raw, [proxy.port], 1, 1)
    assert proxy.worker.limits().fallbacks["redis"] == 40
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "redis" in line]
    assert [event["event"] for event in events] == ["redis is away", "redis is back"]


async def test_redis_away_and_not_fault_tolerant(gateway, origin, raw, redis):
    """Requests fail, none passes uncounted, and they pass again without a restart."""
    upstream = await origin(OK)
    where = {"redis_host": "127.0.0.1", "redis_port": redis.port, "redis_timeout": 300}
    proxy = await gateway(limited(upstream, redis, redis={}, fault_tolerant=False, **where))
    assert await asked(raw, [proxy.port], 1, 1) == {200: 1}
    await redis.kill()
    assert await asked(raw, [proxy.port], 20, 2) == {500: 40}
    assert len(upstream.requests) == 1
    assert await redis.run()
    async with asyncio.timeout(20):
        while not all(proxy.worker.limits().redis.values()):  # noqa: ASYNC110  # it tells its log only
            await asyncio.sleep(0.02)
    assert await asked(raw, [proxy.port], 1, 1) == {200: 1}


async def test_connections_survive_a_reload(gateway, origin, raw, redis):
    """Where the Redis is the same; where it is not used any more they end."""
    upstream = await origin(OK)
    config = limited(upstream, redis)
    proxy = await gateway(config)
    assert await asked(raw, [proxy.port], 1, 1) == {200: 1}
    before = await redis.ask("CLIENT", "LIST")
    config["plugins"][0]["config"]["year"] = LIMIT + 1
    proxy.write(config)
    assert await proxy.worker.reload()
    assert await asked(raw, [proxy.port], 1, 1) == {200: 1}
    after = await redis.ask("CLIENT", "LIST")
    ours = [line.split()[0] for line in before.splitlines() if "cmd=evalsha" in line or "cmd=eval" in line]
    assert ours
    assert all(f"{one} " in after for one in ours)
    proxy.write(config_for(upstream.port))
    assert await proxy.worker.reload()
    assert proxy.worker.limits().redis == {}
