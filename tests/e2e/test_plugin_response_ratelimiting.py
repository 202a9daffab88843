"""response-ratelimiting through a running gateway, counted here and in a real Redis."""

from __future__ import annotations

import pytest
from e2e_gateway import config_for
from redis_case import RedisServer

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
COSTLY = b"HTTP/1.1 200 OK\r\nX-Kong-Limit: videos=2\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
async def redis(tmp_path):
    """Give what starts a server."""
    running = []

    async def start():
        running.append(await RedisServer.start(tmp_path))
        return running[-1]

    yield start
    for one in running:
        await one.kill()


@pytest.mark.parametrize("policy", ["local", "redis"])
async def test_answers_are_held_back(gateway, origin, raw, redis, policy):
    """What the upstream would have said does not get out, and both connections are good for the next request."""
    upstream = await origin(COSTLY)
    config = {"limits": {"videos": {"year": 3}}, "policy": policy}
    if policy == "redis":
        config["redis"] = {"host": "127.0.0.1", "port": (await redis()).port}
    proxy = await gateway(
        config_for(upstream.port, plugins=[{"name": "response-ratelimiting", "config": config}])
    )
    client = await raw(proxy.port)
    heard = []
    for _ in range(4):
        answer = await client.ask(GET)
        heard.append((answer.status, answer.body, answer["x-ratelimit-remaining-videos-year"]))
        assert "x-kong-limit" not in answer
    assert heard == [(200, b"hello", "1"), (200, b"hello", "0"), (429, b"", "0"), (429, b"", "0")]
    assert [request["x-ratelimit-remaining-videos"] for request in upstream.requests] == ["3", "1", "0", "0"]
    assert [line["status"] for line in await proxy.log_lines(4)] == [200, 200, 429, 429]
