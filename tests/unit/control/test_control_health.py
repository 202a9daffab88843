"""Live, ready and health: the contract of each, and what depends on what."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer

from proxyd.control.status import status_app
from proxyd.telemetry.health_families import HealthState
from proxyd.telemetry.histogram import Histogram


class FakeHealth:
    """What indicators would say."""

    def __init__(self):
        self.told = {"db": {"status": "up", "seconds": 0.1}}
        self.reason = ""
        self.seconds = Histogram()
        self.seconds.observe(0.03)

    async def details(self):
        return self.told

    def not_ready(self):
        return self.reason

    def states(self):
        return [HealthState(name, one["status"] == "up", self.seconds) for name, one in self.told.items()]


@pytest.fixture
def health():
    return FakeHealth()


@pytest.fixture
async def client(busy, source, health):
    async with TestClient(TestServer(status_app(busy, source, health))) as one:
        yield one


async def test_health_has_terminus_shape(client, health):
    """200 and ok with everything in ``info``; 503 and error with what is down in ``error``."""
    up = {"gateway": {"status": "up"}, "db": {"status": "up", "seconds": 0.1}}
    response = await client.get("/status/health")
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert await response.json() == {"status": "ok", "info": up, "error": {}, "details": up}
    down = {"status": "down", "message": "connection refused"}
    health.told["db"] = down
    response = await client.get("/status/health")
    assert response.status == 503
    assert await response.json() == {
        "status": "error",
        "info": {"gateway": {"status": "up"}},
        "error": {"db": down},
        "details": {"gateway": {"status": "up"}, "db": down},
    }


@pytest.mark.parametrize(
    ("reason", "status"), [("draining", "shutting_down"), ("starting", "error"), ("no worker", "error")]
)
async def test_the_gateway_is_an_indicator_itself(client, source, reason, status):
    """While no traffic may come it is down, and shutting down where it drains."""
    source.reason = reason
    response = await client.get("/status/health")
    assert response.status == 503
    answer = await response.json()
    assert answer["status"] == status
    assert answer["error"] == {"gateway": {"status": "down", "message": reason}}


async def test_ready_keeps_kongs_contract(client, source, health):
    """A message alone: ready, the gateway's own reason first, and that of an indicator which counts."""
    answers = []
    for own, theirs in (("", ""), ("", "db is down: gone"), ("draining", "db is down: gone")):
        source.reason, health.reason = own, theirs
        response = await client.get("/status/ready")
        answers.append((response.status, await response.json()))
    assert answers == [
        (200, {"message": "ready"}),
        (503, {"message": "db is down: gone"}),
        (503, {"message": "draining"}),
    ]


async def test_live_depends_on_nothing(client, source, health):
    """It is 200 while everything else is wrong."""
    source.reason, health.reason = "draining", "db is down: gone"
    health.told["db"] = {"status": "down"}
    response = await client.get("/status/live")
    assert (response.status, (await response.json())["status"]) == (200, "ok")
    assert (await client.head("/status/live")).status == 200


async def test_metrics_tell_of_each_indicator(client, health):
    """Up is 1 and down 0; looks are counted by how long they took."""
    health.told["mq"] = {"status": "down"}
    lines = (await (await client.get("/metrics")).text()).splitlines()
    assert 'proxyd_health_up{indicator="db"} 1.0' in lines
    assert 'proxyd_health_up{indicator="mq"} 0.0' in lines
    assert 'proxyd_health_check_seconds_count{indicator="db"} 1.0' in lines
    assert 'proxyd_health_check_seconds_bucket{indicator="db",le="0.025"} 0.0' in lines


async def test_without_indicators_there_is_the_gateway_alone(busy, source):
    """And no metric of any."""
    async with TestClient(TestServer(status_app(busy, source))) as client:
        answer = await (await client.get("/status/health")).json()
        assert answer["details"] == {"gateway": {"status": "up"}}
        assert "proxyd_health" not in await (await client.get("/metrics")).text()
