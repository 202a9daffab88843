"""One configuration for all workers: taken over by all of them or by none, while requests go on."""

from __future__ import annotations

import json
import os
from signal import SIGHUP, SIGKILL, SIGSTOP

from e2e_gateway import config_for
from e2e_load import Load
from e2e_wire import OK

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def test_reloads_under_load_lose_nothing(gang, origin):
    """Twenty reloads while clients post over kept and new connections: no request fails."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port))
    load = Load(one.port)
    for number in range(20):
        one.file.write_text(json.dumps(config_for(upstream.port, route={"tags": [f"n{number}"]})))
        one.one.signal(SIGHUP)
        await one.one.event("reloaded")
        await load.more(20)
    await load.stop()
    assert (load.failures, set(load.statuses)) == ([], {200})
    assert (await one.status())["generation"] == 21


async def test_a_bad_file_changes_no_worker(gang, origin, raw):
    """The reason stands in the log, in /status and in the metrics, and what ran goes on, in a restarted worker too."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port))
    before = await one.status()
    one.file.write_text('{"_format_version": "3.0", "servces": []}')
    one.one.signal(SIGHUP)
    refused = await one.one.event("reload refused")
    assert f"{one.file}:1:" in refused["problems"][0]
    status = await one.status()
    assert status["last_reload"]["errors"] == refused["problems"]
    assert status["configuration_hash"] == before["configuration_hash"]
    assert await one.metric('proxyd_config_reloads_total{result="failure"}') == 1
    assert await one.metric("proxyd_config_last_reload_success") == 0
    workers = await one.workers()
    os.kill(workers[1], SIGKILL)
    await one.restarted(1, workers[1])
    for _ in range(8):
        assert (await (await raw(one.port)).ask(GET)).status == 200


async def test_a_file_that_is_gone_is_refused(gang, origin, raw):
    """As one that is wrong."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port), workers=1)
    one.file.unlink()
    one.one.signal(SIGHUP)
    assert "cannot be read" in (await one.one.event("reload refused"))["problems"][0]
    assert (await (await raw(one.port)).ask(GET)).status == 200


async def test_a_worker_that_starts_later_runs_what_was_taken_over(gang, origin, raw):
    """After a reload, the successor of a worker that died has the new configuration."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port), workers=1)
    one.file.write_text(json.dumps(config_for(upstream.port, route={"paths": ["/new"]})))
    one.one.signal(SIGHUP)
    await one.one.event("reloaded")
    one.file.write_text("nonsense")
    (pid,) = (await one.workers()).values()
    os.kill(pid, SIGKILL)
    await one.restarted(0, pid)
    client = await raw(one.port)
    assert (await client.ask(GET)).status == 404
    assert (await client.ask(GET.replace(b"/ ", b"/new "))).status == 200


async def test_a_worker_that_dies_meanwhile_does_not_hold_a_reload_up(gang, origin, raw):
    """It stands still and is killed while it should prepare: the others go on, and its successor follows them."""
    upstream = await origin(OK)
    one = await gang(config_for(upstream.port))
    workers = await one.workers()
    os.kill(workers[1], SIGSTOP)
    one.file.write_text(json.dumps(config_for(upstream.port, route={"paths": ["/new"]})))
    one.one.signal(SIGHUP)
    os.kill(workers[1], SIGKILL)
    await one.one.event("reloaded")
    await one.restarted(1, workers[1])
    for _ in range(8):
        assert (await (await raw(one.port)).ask(GET)).status == 404
