"""The figures of several workers, against what clients were answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections import Counter

import httpx
import pytest
from e2e_load import Load

PROMTOOL = shutil.which("promtool")
KILLS = 2

CONFIG = {
    "_format_version": "3.0",
    "services": [
        {
            "name": "load",
            "url": "http://127.0.0.1:1",
            "routes": [{"name": "load", "paths": ["/load"]}],
            "plugins": [
                {"name": "request-termination", "config": {"status_code": 202, "message": "taken"}},
                {"name": "prometheus", "config": {"status_code_metrics": True, "bandwidth_metrics": True}},
            ],
        }
    ],
}
REQUESTS = 'proxyd_http_requests_total{code="202",method="POST",route="load",service="load"}'
LASTING = re.compile(r"^([a-z_]+(?:_total|_count|_bucket|_sum)(?:\{.*\})?) (\S+)$", re.MULTILINE)
NOW = re.compile(r'state="(active|writing|waiting)"')  # gauges of Kong's with the name of a counter


@pytest.fixture
async def both(gang):
    """Give a master and its two workers."""
    return await gang(CONFIG)


class Scrapes:
    """Scrapes all the time, and notes every counter that goes down."""

    def __init__(self, url):
        self._url = url
        self._task = asyncio.ensure_future(self._run())
        self.count = 0
        self.fallen = []

    async def _run(self):
        before = {}
        async with httpx.AsyncClient(timeout=30) as client:
            while True:
                text = (await client.get(self._url + "/metrics")).text
                now = {
                    series: float(value) for series, value in LASTING.findall(text) if not NOW.search(series)
                }
                self.fallen += [series for series, value in before.items() if now.get(series, -1.0) < value]
                before = now
                self.count += 1
                await asyncio.sleep(0.05)

    async def stop(self):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def test_counts_are_the_answers_through_reload_and_replacement(both):
    """Every answer is counted once: before and behind a reload, and when all workers have been replaced."""
    load, scrapes = Load(both.port, kept=2, fresh=1), Scrapes(both.one.status_url)
    await load.more(100)
    both.one.process.send_signal(signal.SIGHUP)

    async def reloaded():
        return (await both.status())["generation"] == 2

    await both.until(reloaded)
    await load.more(100)
    before = await both.workers()
    both.one.process.send_signal(signal.SIGUSR2)
    for slot, pid in before.items():
        await both.restarted(slot, pid)
    await load.more(100)
    await load.stop()

    async def old_ones_are_gone():
        return len((await both.status())["workers"]) == len(before)

    await both.until(old_ones_are_gone)
    await scrapes.stop()
    assert load.statuses == Counter({202: load.done})
    counted = await both.metric(REQUESTS)
    assert load.done <= counted <= load.done + len(load.failures)
    assert await both.metric('proxyd_overhead_seconds_count{route="load"') == counted
    assert await both.metric('kong_http_requests_total{code="202"') == counted
    status = await both.status()
    assert status["server"]["total_requests"] == counted
    assert scrapes.count > 3
    assert scrapes.fallen == []


async def test_a_killed_worker_takes_no_answer_with_it(both):
    """After kill -9: no fewer requests than were answered, and no more than were sent."""
    load, scrapes = Load(both.port, kept=2, fresh=1), Scrapes(both.one.status_url)
    for turn in range(KILLS):
        await load.more(50)
        slot = turn % 2
        pid = (await both.workers())[slot]
        os.kill(pid, signal.SIGKILL)
        await both.restarted(slot, pid)
    await load.more(50)
    await load.stop()
    await scrapes.stop()
    counted = await both.metric(REQUESTS)
    assert load.done <= counted <= load.done + len(load.failures)
    assert await both.metric('kong_http_requests_total{code="202"') == counted
    assert scrapes.count > 3
    assert scrapes.fallen == []
    assert await both.metric('proxyd_worker_restarts_total{reason="killed"}') == KILLS


async def test_a_worker_that_hangs_holds_nobody_up(both):
    """A stopped process does not answer: its figures are those that it has written down."""
    load = Load(both.port, kept=2, fresh=0)
    await load.more(20)
    await load.stop()
    pid = (await both.workers())[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert await both.metric(REQUESTS) == load.done
        assert {one["pid"] for one in (await both.status())["workers"]} >= {pid}
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_status_tells_of_every_worker(both):
    """Process, slot, state, generation, memory, connections; the sum under Kong's keys."""
    status = await both.status()
    assert [one["slot"] for one in status["workers"]] == [0, 1]
    for one in status["workers"]:
        assert (one["state"], one["generation"], one["connections_limit"]) == ("ready", 1, 512)
        assert one["rss_bytes"] > 1 << 20
    assert [one["pid"] for one in status["memory"]["workers"]] == [one["pid"] for one in status["workers"]]
    assert status["pid"] == status["memory"]["master"]["pid"] == both.one.process.pid
    assert await both.metric("proxyd_connections_limit") == 1024
    assert status["server"]["connections_active"] == 0


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian package prometheus) is not installed")
async def test_promtool_finds_nothing_wrong(both):
    """The text of several workers is what Prometheus wants."""
    load = Load(both.port, kept=1, fresh=0)
    await load.more(5)
    await load.stop()
    async with httpx.AsyncClient(timeout=30) as client:
        text = (await client.get(both.one.status_url + "/metrics")).content
    # kong_ names are Kong's, which promtool does not like.
    text = b"\n".join(line for line in text.split(b"\n") if b"kong_" not in line)
    result = await asyncio.to_thread(
        subprocess.run, [PROMTOOL, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")


async def test_overload_control_of_all_workers(gang):
    """The status of a master has the sum of their limits."""
    one = await gang(CONFIG, PROXYD_OVERLOAD_CONTROL="on", PROXYD_MAX_CONCURRENT_REQUESTS="30")
    overload = (await one.status())["overload"]
    assert not overload["shedding"]
    assert overload["services"] == [{"service": "load", "concurrency_limit": 60, "requests_in_flight": 0}]
