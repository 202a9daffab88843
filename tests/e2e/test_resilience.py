"""Backends that fail, hang and recover behind a gateway that keeps their upstream up."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
from e2e_wire import OK, PATIENCE, closed_port

BAD = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad"
POST = b"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n"


def config(*ports, service=None, **resilience):
    return {
        "_format_version": "3.0",
        "upstreams": [
            {
                "name": "api",
                "targets": [{"target": f"127.0.0.1:{port}"} for port in ports],
                "resilience": resilience,
            }
        ],
        "services": [
            {
                "name": "backend",
                "host": "api",
                "routes": [{"name": "main", "paths": ["/"]}],
                **(service or {}),
            }
        ],
    }


async def asked(proxy, path):
    async with aiohttp.ClientSession() as session, session.get(proxy.status_url + path) as answer:
        return await answer.text() if path == "/metrics" else await answer.json()


class Moody:
    """An origin that answers what it feels like."""

    def __init__(self):
        self.answer = BAD
        self.requests = 0

    async def __call__(self, wire):
        try:
            while True:
                await wire.message()
                self.requests += 1
                await wire.send(self.answer)
        except EOFError:
            pass


async def test_a_failing_target_is_out_for_a_while(gateway, origin, raw, events):
    """Clients see no more failures than it takes; when its time is over, it has another chance."""
    moody = Moody()
    bad, good = await origin(moody), await origin(OK)
    rules = {"consecutive_5xx": 3, "interval": 0.05, "base_ejection_time": 0.1}
    proxy = await gateway(config(bad.port, good.port, outlier_detection=rules))
    client = await raw(proxy.port)
    statuses = [(await client.ask(POST)).status for _ in range(20)]
    assert (statuses.count(500), moody.requests) == (3, 3)
    target = f"127.0.0.1:{bad.port}"
    (event,) = await events.of("target ejected")
    assert (event["upstream"], event["target"], event["reason"]) == ("api", target, "consecutive_5xx")
    text = await asked(proxy, "/metrics")
    count = (
        f'proxyd_upstream_ejections_total{{reason="consecutive_5xx",target="{target}",upstream="api"}} 1.0'
    )
    assert count in text
    moody.answer = OK
    await events.of("target readmitted")
    assert {(await client.ask(POST)).status for _ in range(4)} == {200}
    assert moody.requests > 3
    (row,) = [row for row in (await asked(proxy, "/status"))["upstreams"] if row["target"] == target]
    assert (row["ejected"], row["health"]) == (False, "HEALTHCHECKS_OFF")


async def test_an_ejected_target_shows(gateway, origin, raw):
    """In the metrics and in the status, for as long as it is out."""
    bad, good = await origin(BAD), await origin(OK)
    proxy = await gateway(config(bad.port, good.port, outlier_detection={"consecutive_5xx": 1}))
    client = await raw(proxy.port)
    for _ in range(2):
        await client.ask(POST)
    text = await asked(proxy, "/metrics")
    for port, value in ((bad.port, "1.0"), (good.port, "0.0")):
        assert f'proxyd_upstream_ejected{{target="127.0.0.1:{port}",upstream="api"}} {value}' in text
    rows = {row["target"]: row["ejected"] for row in (await asked(proxy, "/status"))["upstreams"]}
    assert rows == {f"127.0.0.1:{bad.port}": True, f"127.0.0.1:{good.port}": False}


async def test_an_open_circuit_spares_the_backend(gateway, origin, raw, events):
    """503 in Kong's shape with Retry-After, and nothing is sent; when it answers again, traffic is back."""
    moody = Moody()
    backend = await origin(moody)
    rules = {"minimum_requests": 4, "open_duration": 0.2, "half_open_requests": 1}
    # A quick machine asks more than a thousand times while the circuit is open.
    proxy = await gateway(config(backend.port, circuit_breaker=rules), keepalive_requests=1_000_000)
    client = await raw(proxy.port)
    assert [(await client.ask(POST)).status for _ in range(4)] == [500] * 4
    answer = await client.ask(POST.replace(b"\r\n\r\n", b"\r\nAccept: application/json\r\n\r\n"))
    assert (answer.status, answer["retry-after"], moody.requests) == (503, "1", 4)
    assert b'"message":"The upstream server is currently unavailable"' in answer.body
    assert 'proxyd_upstream_circuit_state{upstream="api"} 2.0' in await asked(proxy, "/metrics")
    moody.answer = OK
    statuses = []
    async with asyncio.timeout(PATIENCE):
        while 200 not in statuses:
            statuses.append((await client.ask(POST)).status)
            await asyncio.sleep(0.005)  # a connection serves a thousand requests, which are soon asked
    assert set(statuses) == {503, 200}
    await events.of("circuit closed")
    assert [event["event"] for event in events if event["event"].startswith("circuit")] == [
        "circuit open",
        "circuit half-open",
        "circuit closed",
    ]
    (row,) = (await asked(proxy, "/status"))["resilience"]
    assert (row["upstream"], row["circuit"]) == ("api", "closed")
    assert row["rejected"] == {"open": statuses.count(503) + 1}
    last = (await proxy.log_lines(len(statuses) + 5))[4]
    assert (last["status"], last["error"], last["upstream"]) == (503, "circuit_open", None)


async def test_a_few_find_out_whether_a_backend_is_back(gateway, origin, raw, events):
    """Of many clients behind an open circuit, as many reach the backend at a time as may, and the rest are told."""
    answer, asked_for, release = [BAD], asyncio.Semaphore(0), asyncio.Event()

    async def backend_script(wire):
        with contextlib.suppress(EOFError):
            while True:
                await wire.message()
                asked_for.release()
                if answer[0] is OK:
                    await release.wait()
                await wire.send(answer[0])

    backend = await origin(backend_script)
    rules = {"minimum_requests": 2, "open_duration": 0.05, "half_open_requests": 2}
    proxy = await gateway(config(backend.port, circuit_breaker=rules))
    clients = [await raw(proxy.port) for _ in range(8)]
    for _ in range(2):
        await clients[0].ask(POST)
        await asked_for.acquire()
    answer[0] = OK
    probing: list[asyncio.Task[Any]] = []
    async with asyncio.timeout(PATIENCE):
        while len(probing) < 2:
            task = asyncio.ensure_future(clients[len(probing)].ask(POST))
            reached = asyncio.ensure_future(asked_for.acquire())
            await asyncio.wait([task, reached], return_when=asyncio.FIRST_COMPLETED)
            if reached.done():
                probing.append(task)
            else:
                assert task.result().status == 503
                reached.cancel()
    refused = await asyncio.gather(*(client.ask(POST) for client in clients[2:]))
    assert [(one.status, one["retry-after"]) for one in refused] == [(503, "1")] * 6
    release.set()
    assert [one.status for one in await asyncio.gather(*probing)] == [200, 200]
    await events.of("circuit closed")
    assert (await clients[7].ask(POST)).status == 200


async def test_a_backend_that_hangs_is_found_out_though_clients_leave(gateway, origin, raw, events):
    """Nobody waits for the timeout of a minute; what was waited counts as slow."""

    async def hang(wire):
        await wire.rest()

    backend = await origin(hang)
    rules = {"minimum_requests": 2, "slow_after": 0.05}
    proxy = await gateway(config(backend.port, circuit_breaker=rules))
    for number in range(2):
        client = await raw(proxy.port)
        await client.send(POST)
        await backend.wire(number)
        assert await client.silent(0.1)
        client.reset()
    (event,) = await events.of("circuit open")
    assert (event["reason"], event["slow"]) == ("slow_percent", 2)
    assert (await (await raw(proxy.port)).ask(POST)).status == 503


async def test_a_client_that_is_slow_to_send_its_body_says_nothing_of_a_backend(gateway, origin, raw):
    """Neither by what it sends in the end nor by what it does not."""
    backend = await origin(OK)
    rules = {"minimum_requests": 1, "slow_after": 0.05}
    proxy = await gateway(config(backend.port, circuit_breaker=rules))
    for rest in (b"b", b""):
        client = await raw(proxy.port)
        await client.send(POST.replace(b"Length: 0", b"Length: 2") + b"a")
        assert await client.silent(0.1)
        if rest:
            assert (await client.ask(rest)).status == 200
        client.reset()
    await proxy.log_lines(2)
    (row,) = (await asked(proxy, "/status"))["resilience"]
    assert row["circuit"] == "closed"


async def test_no_more_requests_than_allowed_reach_a_backend(gateway, origin, raw):
    """The one too many is refused at once; the others get their answers."""
    release = asyncio.Event()

    async def slow(wire):
        await wire.message()
        await release.wait()
        await wire.send(OK)
        await wire.rest()

    backend = await origin(slow)
    proxy = await gateway(config(backend.port, limits={"max_requests": 2}))
    clients = [await raw(proxy.port) for _ in range(3)]
    for number, client in enumerate(clients[:2]):
        await client.send(POST)
        await backend.wire(number)
    answer = await clients[2].ask(POST)
    assert (answer.status, answer["retry-after"]) == (503, "1")
    release.set()
    assert [(await client.message()).status for client in clients[:2]] == [200, 200]
    count = 'proxyd_upstream_circuit_rejected_total{reason="max_requests",upstream="api"} 1.0'
    assert count in await asked(proxy, "/metrics")


async def test_one_connection_serves_those_that_wait_for_it(gateway, origin, raw):
    """With one allowed, requests of ten clients go over it one after the other."""
    backend = await origin(OK)
    proxy = await gateway(config(backend.port, limits={"max_connections": 1}))
    clients = [await raw(proxy.port) for _ in range(10)]
    answers = await asyncio.gather(*(client.ask(POST) for client in clients))
    assert [answer.status for answer in answers] == [200] * 10
    assert len(backend.wires) == 1


async def test_a_connection_moves_to_where_it_is_wanted(gateway, origin, raw):
    """The limit is the upstream's: with one connection, two targets are both served."""
    backends = [await origin(OK), await origin(OK)]
    proxy = await gateway(config(*(one.port for one in backends), limits={"max_connections": 1}))
    client = await raw(proxy.port)
    assert [(await client.ask(POST)).status for _ in range(6)] == [200] * 6
    assert [len(one.requests) for one in backends] == [3, 3]


async def test_further_tries_come_out_of_a_budget(gateway, origin, raw):
    """With none, a target that refuses is a failure for half of the clients; with the usual one, for nobody."""
    backend = await origin(OK)
    ports = (backend.port, closed_port())
    spent = await gateway(config(*ports, retry_budget={"budget_percent": 0, "min_retry_concurrency": 0}))
    client = await raw(spent.port)
    statuses = [(await client.ask(POST)).status for _ in range(10)]
    assert (statuses.count(200), statuses.count(502)) == (5, 5)
    text = await asked(spent, "/metrics")
    assert 'proxyd_upstream_retry_budget_exhausted_total{upstream="api"} 5.0' in text
    usual = await gateway(config(*ports, retry_budget={}))
    client = await raw(usual.port)
    assert [(await client.ask(POST)).status for _ in range(10)] == [200] * 10
    assert usual.worker._registry.protections[0].retries == 0


async def test_a_retry_whose_client_leaves_is_let_go(gateway, origin, raw):
    """Its place in the budget is free again, wherever the retry was."""

    async def hang(wire):
        await wire.rest()

    backend = await origin(hang)
    proxy = await gateway(config(backend.port, closed_port(), retry_budget={"min_retry_concurrency": 2}))
    clients = [await raw(proxy.port) for _ in range(2)]
    for number, client in enumerate(clients):
        await client.send(POST)
        await backend.wire(number)
    (protection,) = proxy.worker._registry.protections
    assert (protection.retries in {1, 2}, protection.active) == (True, 2)
    for client in clients:
        client.reset()
    for wire in backend.wires:
        await wire.rest()
    assert (protection.retries, protection.active) == (0, 0)
