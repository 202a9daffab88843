"""A master and its workers: how they start, what happens when one of them dies, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from signal import SIGKILL, SIGTERM

import pytest
from e2e_command import proxyd
from e2e_gateway import config_for
from e2e_master import alive, gone, sockets_of
from e2e_wire import OK

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def test_connections_are_spread_over_workers(gang, origin, raw):
    """Twenty kept connections are not all one worker's; the master says who they are, and is none of them."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port))
    clients = [await raw(one.port) for _ in range(20)]
    for client in clients:
        assert (await client.ask(GET)).status == 200
    workers = await one.workers()
    assert sorted(workers) == [0, 1]
    counts = [sockets_of(pid, one.port) for pid in workers.values()]
    assert sum(counts) == 20
    assert min(counts) > 0
    assert sockets_of(one.one.process.pid, one.port) == 0


async def test_a_worker_that_is_killed_costs_what_was_under_way_in_it(gang, origin, raw):
    """Its connections break, all others go on, and another worker takes its place; the metrics say why."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port))
    clients = [await raw(one.port) for _ in range(12)]
    for client in clients:
        await client.ask(GET)
    workers = await one.workers()
    expected = sockets_of(workers[0], one.port)
    os.kill(workers[0], SIGKILL)
    broken = 0
    for client in clients:
        try:
            assert (await client.ask(GET)).status == 200
        except (EOFError, ConnectionError):
            broken += 1
    assert broken == expected
    for _ in range(12):  # whichever socket the kernel chooses, somebody accepts
        assert (await (await raw(one.port)).ask(GET)).status == 200
    await one.restarted(0, workers[0])
    assert (await one.workers())[1] == workers[1]
    assert await one.metric('proxyd_worker_restarts_total{reason="killed"}') == 1
    assert (await one.one.event("worker died"))["how"] == "signal SIGKILL"


async def test_a_worker_that_is_told_to_end_drains_and_is_followed(gang, origin, raw):
    """SIGTERM to one worker: what is under way in it is finished, and its successor is there meanwhile."""
    arrived, go = asyncio.Event(), asyncio.Event()

    async def script(wire):
        with contextlib.suppress(EOFError):
            await wire.message()
            arrived.set()
            await go.wait()
            await wire.send(OK)
            await wire.message()

    upstream = await origin(script)
    one = await gang(config_for(upstream.port), workers=1)
    client = await raw(one.port)
    await client.send(GET)
    await arrived.wait()
    (pid,) = (await one.workers()).values()
    os.kill(pid, SIGTERM)
    await one.restarted(0, pid)
    assert await one.workers("draining") == {0: pid}
    go.set()
    answer = await client.message()
    assert (answer.status, answer["connection"]) == (200, "close")
    await gone([pid])
    assert await one.metric('proxyd_worker_restarts_total{reason="left"}') == 1


async def test_nothing_is_left_behind_a_master_that_is_killed(gang, origin, raw):
    """Its workers finish what is under way, end by themselves, and the port is free."""
    arrived, go = asyncio.Event(), asyncio.Event()

    async def script(wire):
        with contextlib.suppress(EOFError):
            await wire.message()
            arrived.set()
            await go.wait()
            await wire.send(OK)

    upstream = await origin(script)
    one = await gang(config_for(upstream.port))
    client = await raw(one.port)
    await client.send(GET)
    await arrived.wait()
    workers = list((await one.workers()).values())
    one.one.process.kill()
    await one.one.process.wait()
    go.set()
    assert (await client.message()).status == 200
    await gone(workers)
    with socket.create_server(("127.0.0.1", one.port)):
        pass


async def test_sigterm_ends_master_and_workers(gang, origin, raw):
    """Exit code 0, no process left, and the event log ends with it."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port))
    workers = list((await one.workers()).values())
    one.one.signal(SIGTERM)
    assert await one.one.ended() == 0
    assert one.one.events[-1]["event"] == "stopped"
    assert not any(map(alive, workers))


async def test_a_signal_to_the_whole_group_is_the_masters(gang, origin, raw):
    """Workers that hear it as well go on accepting for as long as the master has its drain delay."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port), workers=1, PROXYD_DRAIN_DELAY="3s")
    (pid,) = (await one.workers()).values()
    os.kill(pid, SIGTERM)
    one.one.signal(SIGTERM)
    await one.one.event("draining")
    answer = await (await raw(one.port)).ask(GET)
    assert (answer.status, answer["connection"]) == (200, "close")
    assert await one.one.ended() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"PROXYD_DNS_RESOLVER": "not-an-address"}, "dns_resolver: error: "),
        ({"PROXYD_PROXY_ACCESS_LOG": "/nonexistent/access.log"}, "proxy_access_log: error: cannot open"),
        ({"PROXYD_WORKERS": "some"}, "PROXYD_WORKERS: error: must be a number up to 256, auto, or off"),
        ({"PROXYD_STATUS_LISTEN": "192.0.2.1:80"}, "status_listen: error: cannot listen on 192.0.2.1:80"),
    ],
)
def test_what_one_process_refuses_at_its_start_a_master_refuses_once(tmp_path, settings, message):
    """One line, though several workers have met it, and exit code 1: no supervisor needs to try again."""
    path = tmp_path / "kong.json"
    path.write_text(json.dumps(config_for(1)))
    env = {
        "PROXYD_PROXY_LISTEN": "127.0.0.1:0",
        "PROXYD_STATUS_LISTEN": "off",
        "PROXYD_ADMIN_LISTEN": "off",
        "PROXYD_PROXY_ACCESS_LOG": "off",
        "PROXYD_WORKERS": "2",
    }
    result = proxyd("run", "--config", str(path), env=env | settings)
    assert (result.returncode, result.stdout) == (1, "")
    assert [line.startswith(message) for line in result.stderr.splitlines()] == [True]
