"""Exactly as many requests as the limit pass, through one gateway or several that share a file."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import chain

import pytest
from e2e_gateway import config_for
from e2e_wire import OK

LIMIT, CLIENTS = 100, 64


@pytest.mark.parametrize("gateways", [1, 2, 8])
async def test_the_limit_is_exact(gateway, origin, raw, tmp_path, gateways):
    """64 clients, spread over the gateways, ask three times as often as they may."""
    upstream = await origin(OK)
    config = config_for(
        upstream.port,
        plugins=[{"name": "rate-limiting", "config": {"year": LIMIT, "limit_by": "service"}}],
    )
    ports = [(await gateway(config, shared_memory=str(tmp_path / "counters"))).port for _ in range(gateways)]

    async def ask(number):
        client = await raw(ports[number % gateways])
        return [(await client.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status for _ in range(5)]

    statuses = Counter(chain.from_iterable(await asyncio.gather(*map(ask, range(CLIENTS)))))
    assert statuses == {200: LIMIT, 429: CLIENTS * 5 - LIMIT}
    assert len(upstream.requests) == LIMIT
