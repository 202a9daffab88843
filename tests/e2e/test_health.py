"""Indicators of running gateways: of one process, and of a master with workers."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from e2e_gateway import config_for
from e2e_wire import PATIENCE

from proxyd.errors import ConfigError


class Dependency:
    """Something that accepts connections, or hangs: it accepts and answers nothing."""

    def __init__(self):
        self.port = 0
        self._server = None

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        await reader.read()
        writer.close()

    async def stop(self):
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
async def dependency():
    one = Dependency()
    await one.start()
    yield one
    await one.stop()


async def until(url, client, condition):
    """Ask until an answer is as expected; return it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await client.get(url)
            if condition(answer):
                return answer
            await asyncio.sleep(0.02)


async def follow(status, proxied, dependency):
    """Stop the dependency and start it again, and look at every answer meanwhile."""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:

        async def ready():
            return (await client.get(f"{status}/status/ready")).status_code

        healthy = await until(f"{status}/status/health", client, lambda one: one.status_code == 200)
        assert set(healthy.json()["info"]) == {"gateway", "db", "optional"}
        assert await ready() == 200
        await dependency.stop()
        ill = await until(f"{status}/status/health", client, lambda one: one.status_code == 503)
        assert ill.json()["status"] == "error"
        assert "refused" in next(iter(ill.json()["error"].values()))["message"]
        waiting = await until(f"{status}/status/ready", client, lambda one: one.status_code == 503)
        assert waiting.json() == {"message": "db is down: connection refused"}
        assert (await client.get(f"{status}/status/live")).status_code == 200
        assert (await client.get(f"{proxied}/")).status_code == 200
        await dependency.start()
        await until(f"{status}/status/health", client, lambda one: one.status_code == 200)
        await until(f"{status}/status/ready", client, lambda one: one.status_code == 200)


def indicators(port, **values):
    tcp = {"tcp": {"host": "127.0.0.1", "port": port}, "interval": "100ms"}
    return [{"name": "db", "ready": True, **tcp, **values}, {"name": "optional", **tcp}]


async def test_a_dependency_that_stops_is_seen_and_comes_back(gateway, backend, dependency):
    """Health says 503 and why, ready too where the indicator counts; live and traffic go on."""
    one = await gateway(backend.port, health=indicators(dependency.port))
    await follow(one.status_url, one.url, dependency)


async def test_a_master_looks_for_its_workers(gang, backend, dependency):
    """The same with workers, whose memory and loops are indicators too."""
    workers = await gang(config_for(backend.port), PROXYD_HEALTH=json.dumps(indicators(dependency.port)))
    await follow(workers.one.status_url, f"http://127.0.0.1:{workers.port}", dependency)


async def test_workers_are_seen_by_their_master(gang, backend):
    """Each process is named, with its memory and how late its loop was; metrics tell of the indicators."""
    health = [
        {"name": "memory", "memory": {"max_each": "4g"}, "interval": "100ms"},
        {"name": "loop", "event_loop": {"max_lag": "20s"}, "interval": "100ms"},
    ]
    workers = await gang(config_for(backend.port), PROXYD_HEALTH=json.dumps(health))
    status = workers.one.status_url
    async with httpx.AsyncClient(timeout=PATIENCE) as client:

        def all_there(answer):
            details = answer.json()["details"]
            return len(details["loop"].get("lag_seconds", ())) == 2

        answer = await until(f"{status}/status/health", client, all_there)
        details = answer.json()["details"]
        assert set(details["loop"]["lag_seconds"]) == {"worker 0", "worker 1"}
        assert set(details["memory"]["processes"]) == {"master", "worker 0", "worker 1"}
        assert all(size > 1 << 20 for size in details["memory"]["processes"].values())
        assert await workers.metric('proxyd_health_up{indicator="memory"}') == 1


async def test_a_dependency_that_hangs_holds_nobody_up(gateway, backend, dependency):
    """Traffic, other indicators and the end of the gateway do not wait for it; readiness does not depend on it."""
    hanging = {"name": "slow", "http": {"url": f"http://127.0.0.1:{dependency.port}/"}, "timeout": "300s"}
    short = {**hanging, "name": "short", "timeout": "100ms"}
    one = await gateway(
        backend.port, health=[short, {"name": "disk", "disk": {"path": "/", "min_free_percent": 0}}]
    )
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.get(f"{one.status_url}/status/health")
        assert answer.status_code == 503
        assert list(answer.json()["error"]) == ["short"]
        assert answer.json()["error"]["short"]["message"] == "no answer within 0.1 s"
        assert (await client.get(f"{one.status_url}/status/ready")).status_code == 200
        two = await gateway(backend.port, health=[hanging])
        assert (await client.get(f"{two.url}/")).status_code == 200
        assert (await client.get(f"{two.status_url}/status/ready")).status_code == 200
        await two.worker.stop(drain=0.0)


async def test_the_admin_listener_tells_the_same(gateway, backend, dependency):
    """All three paths are there, too."""
    one = await gateway(backend.port, health=indicators(dependency.port), admin_listen="127.0.0.1:0")
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        for path in ("live", "ready", "health"):
            answer = await until(f"{one.admin_url}/status/{path}", client, lambda one: one.status_code == 200)
            assert answer.json() is not None


async def test_what_is_wrong_is_told_with_its_place(gateway):
    """Every wrong field of every indicator, where it stands in the file; a secret's value is in none."""
    text = """_format_version: "3.0"
proxyd:
  health:
    - name: api
      http: {url: "ftp://ann:secret@host/"}
    - name: db
      tcp: {host: db}
      intervall: 5s
    - {name: both, disk: {path: /}, memory: {max_each: 1g}}
"""
    with pytest.raises(ConfigError) as caught:
        await gateway(text)
    told = [str(problem).partition("kong.yml:")[2] for problem in caught.value.problems]
    assert told == [
        "5:19: proxyd.health[0].http.url: must be a URL (http://host/path)",
        "7:12: proxyd.health[1].tcp.port: is required",
        "8:7: proxyd.health[1].intervall: unknown field (did you mean 'interval'?)",
        (
            "9:7: proxyd.health[2]: is disk and memory at once "
            "(one of http, tcp, postgres, redis, mongodb, s3, disk, memory, event_loop)"
        ),
    ]
