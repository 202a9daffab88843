"""The status listener's answers."""

from __future__ import annotations

import json
import os

import pytest
from aiohttp.test_utils import TestClient, TestServer

from proxyd.control.status import status_app
from proxyd.errors import Place, Problem


@pytest.fixture
async def client(busy, source):
    async with TestClient(TestServer(status_app(busy, source))) as one:
        yield one


async def test_status_has_kongs_shape_and_ours_beside_it(client):
    """Memory, connections, requests and the hash as in Kong; generation, reload and targets beside them."""
    response = await client.get("/status")
    assert (response.status, response.content_type) == (200, "application/json")
    status = await response.json()
    assert status["server"] == {
        "connections_accepted": 9,
        "connections_handled": 8,
        "connections_active": 6,
        "connections_reading": 0,
        "connections_writing": 4,
        "connections_waiting": 2,
        "total_requests": 4,
        "websockets": 1,
    }
    assert status["configuration_hash"] == "ab" * 32
    assert status["memory"]["workers"][0]["rss_bytes"] > 1 << 20
    assert status["pid"] == status["memory"]["workers"][0]["pid"] == os.getpid()
    assert status["started_at"] == "2023-11-14T22:13:20.500Z"
    assert status["generation"] == 1
    assert status["last_reload"] == {
        "success": True,
        "time": "2023-11-14T22:13:20.500Z",
        "errors": [],
        "number": 1,
    }
    assert status["upstreams"][1] == {
        "upstream": "shop",
        "target": "b:80",
        "address": "10.0.0.2:80",
        "health": "UNHEALTHY",
        "ejected": True,
        "requests_in_flight": 0,
        "connections": 0,
    }
    assert status["upstreams"][2]["upstream"] is None


async def test_a_refused_reload_is_shown_with_its_place(client, source):
    """The errors of the last reload name file and line, while the old configuration runs on."""
    source.config.refused([Problem(Place("kong.yml", 3, 5), "routes[0].paths", "must be a list")])
    status = await (await client.get("/status")).json()
    assert status["last_reload"]["success"] is False
    assert status["last_reload"]["errors"] == ["kong.yml:3:5: routes[0].paths: must be a list"]
    assert (status["generation"], status["configuration_hash"]) == (1, "ab" * 32)
    assert repr(source.config) == "<ConfigState generation=1 problems=1>"


async def test_overload_is_shown_where_it_is_controlled(client, source):
    """Null where it is not; refusals by reason and priority, and each service's limit where it is."""
    status = await (await client.get("/status")).json()
    assert status["overload"] == {
        "shedding": True,
        "queue_seconds": 0.03,
        "shed_requests": {"gateway": {"anonymous": 7}, "backend": {"anonymous": 2, "sheddable": 5}},
        "services": [{"service": "shop", "concurrency_limit": 40, "requests_in_flight": 39}],
    }
    source.overload_state = None
    assert (await (await client.get("/status")).json())["overload"] is None


async def test_before_the_first_configuration_there_is_no_reload(client, source):
    """Until something was loaded, the last reload is null."""
    source.config.last_attempt = 0.0
    status = await (await client.get("/status")).json()
    assert status["last_reload"] is None


async def test_ready_is_200_and_not_ready_503_with_the_reason(client, source):
    """Probes are told whether traffic may come, and why not."""
    ready = await client.get("/status/ready")
    assert (ready.status, await ready.json()) == (200, {"message": "ready"})
    source.reason = "draining"
    draining = await client.get("/status/ready")
    assert (draining.status, await draining.json()) == (503, {"message": "draining"})
    assert draining.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("reason", "status"), [("", 200), ("no configuration is loaded yet", 503)])
async def test_head_answers_as_get_does(client, source, reason, status):
    """Probes that send HEAD get the status without the body."""
    source.reason = reason
    response = await client.head("/status/ready")
    assert (response.status, await response.read()) == (status, b"")


async def test_metrics_are_negotiated(client):
    """The exposition comes in the format that Accept asks for."""
    plain = await client.get("/metrics")
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"proxyd_http_requests_total" in await plain.read()
    accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
    openmetrics = await client.get("/metrics", headers=accept)
    assert openmetrics.content_type == "application/openmetrics-text"
    assert (await openmetrics.read()).endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 404, "Not found"),
        ("GET", "/nothing", 404, "Not found"),
        ("POST", "/status", 405, "Method not allowed"),
    ],
)
async def test_anything_else_is_refused_in_json(client, method, path, status, message):
    """Unknown paths and methods get a message in JSON."""
    response = await client.request(method, path)
    assert response.status == status
    assert json.loads(await response.read()) == {"message": message}
    assert ("Allow" in response.headers) is (status == 405)
