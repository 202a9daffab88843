"""New workers in place of old ones, without a request lost, and limits that hold across all of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from signal import SIGHUP, SIGKILL, SIGTERM, SIGUSR2

from e2e_gateway import config_for
from e2e_load import Load
from e2e_master import alive, gone, resident
from e2e_wire import OK

GET = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


async def test_rolling_replacements_under_load_lose_nothing(gang, origin):
    """Every worker is another one afterwards, five times over, and no POST on a kept or a new connection has failed."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port))
    first = await one.workers()
    load = Load(one.port)
    for _ in range(5):
        one.one.signal(SIGUSR2)
        await one.one.event("upgraded", 60)
        await load.more(20)
    await load.stop()
    assert (load.failures, set(load.statuses)) == ([], {200})
    assert set((await one.workers()).values()).isdisjoint(first.values())
    await gone(first.values())
    assert await one.metric('proxyd_worker_replacements_total{result="success"}') == 10
    assert await one.metric("proxyd_worker_restarts_total") == 0


async def test_where_no_new_worker_comes_up_the_old_ones_stay(gang, origin, raw, tmp_path):
    """The replacement ends with the first that fails, and says why; what is right again can be tried again."""
    upstream = await origin(OK)
    logs = tmp_path / "logs"
    logs.mkdir()
    one = await gang(config_for(upstream.port), PROXYD_PROXY_ACCESS_LOG=str(logs / "access.log"))
    first = await one.workers()
    logs.rename(tmp_path / "elsewhere")
    one.one.signal(SIGUSR2)
    failed = await one.one.event("worker not replaced", 30)
    assert "No such file or directory" in failed["problems"][0]
    assert await one.metric('proxyd_worker_replacements_total{result="aborted"}') == 1
    assert await one.workers() == first
    assert (await (await raw(one.port)).ask(GET)).status == 200
    logs.mkdir()
    one.one.signal(SIGUSR2)
    await one.one.event("upgraded", 60)


async def test_a_worker_that_does_not_start_again_is_tried_ever_later(gang, origin, raw, tmp_path):
    """Its slot is covered meanwhile, and filled as soon as that is possible."""
    upstream = await origin(OK)
    logs = tmp_path / "logs"
    logs.mkdir()
    one = await gang(config_for(upstream.port), PROXYD_PROXY_ACCESS_LOG=str(logs / "access.log"))
    workers = await one.workers()
    logs.rename(tmp_path / "elsewhere")
    os.kill(workers[0], SIGKILL)
    delays = [(await one.one.event("worker does not start", 30))["again_in_seconds"] for _ in range(2)]
    assert delays == [0.5, 1.0]
    assert await one.workers() == {1: workers[1]}
    for _ in range(12):
        assert (await (await raw(one.port)).ask(GET)).status == 200
    logs.mkdir()
    await one.restarted(0, workers[0])
    assert await one.metric('proxyd_worker_restarts_total{reason="failed"}') >= 2


async def test_a_broken_file_is_refused_also_while_no_worker_is_there(gang, origin, raw, tmp_path):
    """Nobody tries it out then; what is right is taken over, and does not wait for the next try."""
    upstream = await origin(OK)
    logs = tmp_path / "logs"
    logs.mkdir()
    config = config_for(upstream.port)
    one = await gang(config, workers=1, PROXYD_PROXY_ACCESS_LOG=str(logs / "access.log"))
    logs.rename(tmp_path / "elsewhere")
    os.kill((await one.workers())[0], SIGKILL)
    await one.one.event("worker does not start", 30)
    one.file.write_text(json.dumps(config | {"servces": []}))
    one.one.signal(SIGHUP)
    refused = await one.one.event("reload refused", 30)
    assert "servces: unknown" in refused["problems"][0]
    assert (await one.status())["generation"] == 1
    logs.mkdir()
    one.file.write_text(json.dumps(config))
    one.one.signal(SIGHUP)
    await one.one.event("reloaded", 30)
    await one.restarted(0, 0)
    assert (await (await raw(one.port)).ask(GET)).status == 200


async def test_limits_are_exact_across_workers_and_their_ends(gang, origin, raw):
    """Of a limit of 60, 60 pass: over two workers, after a kill, a reload and a replacement."""
    upstream = await origin(OK)
    limit = {"name": "rate-limiting", "config": {"year": 60, "limit_by": "service", "policy": "local"}}
    one = await gang(config_for(upstream.port, plugins=[limit]))

    async def ask(count):
        statuses = [(await (await raw(one.port)).ask(GET)).status for _ in range(count)]
        return statuses.count(200)

    passed = await ask(20)
    workers = await one.workers()
    os.kill(workers[1], SIGKILL)
    passed += await ask(10)
    await one.restarted(1, workers[1])
    one.file.write_text(json.dumps(config_for(upstream.port, plugins=[limit], route={"tags": ["new"]})))
    one.one.signal(SIGHUP)
    await one.one.event("reloaded")
    passed += await ask(10)
    one.one.signal(SIGUSR2)
    await one.one.event("upgraded", 60)
    assert passed == 40
    assert await ask(40) == 20


async def test_settings_wait_for_a_replacement(gang, origin, raw):
    """A reload warns of one that has changed; workers that are started later keep the old one, replaced ones have the new."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port), workers=1)
    config = config_for(upstream.port, proxyd={"headers": "off"})
    one.file.write_text(json.dumps(config))
    one.one.signal(SIGHUP)
    warning = await one.one.event("settings that take effect with a restart have changed")
    assert warning["settings"] == ["headers"]
    (pid,) = (await one.workers()).values()
    os.kill(pid, SIGKILL)
    await one.restarted(0, pid)
    assert "via" in (await (await raw(one.port)).ask(GET)).names
    one.one.signal(SIGUSR2)
    await one.one.event("upgraded", 60)
    assert "via" not in (await (await raw(one.port)).ask(GET)).names


async def test_memory_stays_where_it_is_over_reloads(gang, origin, raw):
    """After 60 more reloads, neither master nor worker holds 4 MB more than after the first 20."""
    upstream = await origin(OK)
    config = config_for(upstream.port, plugins=[{"name": "cors"}, {"name": "correlation-id"}])
    one = await gang(config, workers=1)
    (worker,) = (await one.workers()).values()
    pids = (one.one.process.pid, worker)

    async def reload(times):
        for number in range(times):
            config["services"][0]["routes"][0]["tags"] = [f"n{number}"]
            one.file.write_text(json.dumps(config))
            one.one.signal(SIGHUP)
            await one.one.event("reloaded")
            assert (await (await raw(one.port)).ask(GET)).status == 200
        return [resident(pid) for pid in pids]

    before = await reload(20)
    after = await reload(60)
    assert [now - then < 4 * 1024 * 1024 for then, now in zip(before, after, strict=True)] == [True, True]


async def test_who_still_drains_has_no_more_time_than_its_master(gang, origin, raw):
    """A replaced worker may take long over a request; at SIGTERM it has what the others have, and is not killed."""
    arrived = asyncio.Event()

    async def script(wire):
        with contextlib.suppress(EOFError):
            await wire.message()
            arrived.set()
            await wire.rest()

    upstream = await origin(script)
    env = {"PROXYD_DRAIN_TIMEOUT": "1h", "PROXYD_SHUTDOWN_TIMEOUT": "300ms"}
    one = await gang(config_for(upstream.port), workers=1, **env)
    client = await raw(one.port)
    await client.send(GET)
    await arrived.wait()
    one.one.signal(SIGUSR2)
    await one.one.event("upgraded", 60)
    (old,) = (await one.workers("draining")).values()
    one.one.signal(SIGTERM)
    assert await client.rest() == b""
    assert await one.one.ended() == 0
    assert one.one.events_named("worker did not end and was killed") == []
    assert not alive(old)
