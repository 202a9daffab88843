"""A worker whose figures stand in a file of its master's."""

from __future__ import annotations

import asyncio
import os

from test_process_worker import loaded

from proxyd.process.reports import Reports
from proxyd.process.worker import Worker
from proxyd.telemetry.fleet import Fleet

CONFIGURATION = """\
_format_version: "3.0"
consumers: [{username: ann}]
services:
  - {name: shop, url: "http://127.0.0.1:1", routes: [{name: orders, paths: [/orders], methods: [%s]}]}
"""


async def ask(address, path):
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_figures_follow_a_worker_from_its_start_to_behind_its_end():
    """Requests are there at once, the rest with a report; a reload tells what is live, and the end leaves all."""
    fleet = Fleet()
    fd = fleet.open()
    texts = [CONFIGURATION % "GET", CONFIGURATION % "POST"]
    worker = Worker(loaded(texts[0]), lambda: loaded(texts[1]), figures=os.dup(fd), name="worker 0")
    fleet.begun(0, 100, fd)
    await worker.start()
    try:
        assert b" 404 " in await ask(worker.addresses[0], "/")
        assert b" 502 " in await ask(worker.addresses[0], "/orders")
        total = await fleet.total()
        assert (total.summary.requests, total.figures.meters.unmatched.requests) == (2, {"GET": {404: 1}})
        assert total.figures.meters.of("orders", "shop").failures == {("connect_refused", "upstream"): 1}
        await worker.reports.write()
        summary = fleet.summary()
        assert (summary.requests, summary.connections["accepted"]) == (2, 2)
        assert [state["connections"]["limit"] for state in summary.states] == [512]
        assert await worker.reload()
        assert repr(worker.reports).startswith("<Reports <Reporter running reports=")
    finally:
        await worker.stop()
    fleet.ended(100)
    summary = (await fleet.total()).summary
    assert (summary.requests, summary.connections["accepted"], summary.states) == (2, 2, [])
    assert repr(summary) == "<Summary requests=2 workers=0>"


async def test_one_process_alone_writes_nothing_down():
    """Without a file there is no journal, and every call does nothing."""
    reports = Reports(None)
    reports.live(loaded())
    await reports.write()
    await reports.stop()
    assert (reports.journal, repr(reports)) == (None, "<Reports None>")
