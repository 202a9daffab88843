"""Exactly as many requests as the limit pass, through one gateway or several that share a file."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from itertools import chain

import pytest
from e2e_command import Running
from e2e_gateway import config_for
from e2e_wire import OK

LIMIT, CLIENTS = 100, 64


@pytest.fixture
async def processes(tmp_path):
    """Give what starts gateways that are processes of their own, with one configuration and one file of counters."""
    running = []

    async def start(config, number):
        file = tmp_path / "kong.json"
        file.write_text(json.dumps(config))
        shared = str(tmp_path / "counters")

        async def one(place):
            directory = tmp_path / f"process{place}"
            directory.mkdir()
            running.append(await Running.start(file, directory, PROXYD_SHARED_MEMORY=shared))

        await asyncio.gather(*map(one, range(number)))
        return [one.port for one in running]

    yield start
    for one in running:
        await one.kill()


@pytest.mark.parametrize("gateways", [1, 2, 8])
async def test_the_limit_is_exact(processes, origin, raw, gateways):
    """64 clients, spread over processes that count in one file, ask three times as often as they may."""
    upstream = await origin(OK)
    limit = {"year": LIMIT, "limit_by": "service", "fault_tolerant": False}
    config = config_for(upstream.port, plugins=[{"name": "rate-limiting", "config": limit}])
    ports = await processes(config, gateways)

    async def ask(number):
        client = await raw(ports[number % gateways])
        return [(await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status for _ in range(5)]

    statuses = Counter(chain.from_iterable(await asyncio.gather(*map(ask, range(CLIENTS)))))
    assert statuses == {200: LIMIT, 429: CLIENTS * 5 - LIMIT}
    assert len(upstream.requests) == LIMIT


async def test_gateways_in_one_process_share_a_limit_too(gateway, origin, raw, tmp_path):
    """Each has opened the file for itself."""
    upstream = await origin(OK)
    limit = {"year": 3, "limit_by": "service"}
    config = config_for(upstream.port, plugins=[{"name": "rate-limiting", "config": limit}])
    ports = [(await gateway(config, shared_memory=str(tmp_path / "counters"))).port for _ in range(2)]
    statuses = []
    for port in ports * 2:
        answer = await (await raw(port)).ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        statuses.append((answer.status, answer["ratelimit-remaining"]))
    assert statuses == [(200, "2"), (200, "1"), (200, "0"), (429, "0")]
