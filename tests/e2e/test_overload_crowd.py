"""A gateway whose own event loop has more to do than it can: an application in it works for each request."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from e2e_command import Running
from e2e_wire import PATIENCE, connect

APP = """
import time
from aiohttp import web

async def work(request):
    until = time.thread_time() + 0.002
    while time.thread_time() < until:
        pass
    return web.Response(text="done")

def make():
    app = web.Application()
    app.router.add_get("/{path:.*}", work)
    return app
"""
CONFIG = {
    "_format_version": "3.0",
    "services": [
        {
            "name": "work",
            "url": "memory://work",
            "routes": [
                {"name": "payments", "paths": ["/pay"], "strip_path": False, "tags": ["priority:critical"]},
                {"name": "orders", "paths": ["/"], "strip_path": False},
            ],
        }
    ],
}
CROWD = 120


class Client:
    """Asks, waits for the answer, and asks again at once."""

    def __init__(self, path):
        self.request = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path
        self.answers = []

    async def run(self, port, over):
        wire = await connect(port)
        try:
            while not over.is_set():
                self.answers.append(await wire.ask(self.request))
        finally:
            wire.close()

    @property
    def refused(self):
        return sum(answer.status == 503 for answer in self.answers) / max(1, len(self.answers))


@pytest.fixture
async def running(tmp_path):
    (tmp_path / "working.py").write_text(APP)
    config = tmp_path / "kong.json"
    config.write_text(json.dumps(CONFIG))
    one = await Running.start(
        config,
        tmp_path,
        PYTHONPATH=":".join([str(tmp_path), *filter(None, [sys.path[0]])]),
        PROXYD_APPS="work=working:make",
        PROXYD_OVERLOAD_CONTROL="on",
    )
    yield one
    await one.kill()


async def test_a_crowd_is_refused_and_what_matters_most_is_served(running):
    """The crowd gets refusals with a Retry-After, a critical route far fewer, and a new client is let in meanwhile."""
    over = asyncio.Event()
    crowd = [Client(b"/orders") for _ in range(CROWD)]
    critical = [Client(b"/pay") for _ in range(3)]
    async with asyncio.timeout(4 * PATIENCE), asyncio.TaskGroup() as clients:
        for one in [*crowd, *critical]:
            clients.create_task(one.run(running.port, over))
        await running.event("overloaded, requests are shed")
        await asyncio.sleep(0.5)
        for one in critical:
            one.answers.clear()
        newcomer = await connect(running.port)
        await newcomer.ask(crowd[0].request)
        newcomer.close()
        while min(len(one.answers) for one in critical) < 15:  # noqa: ASYNC110  # the crowd is the event
            await asyncio.sleep(0.05)
        over.set()
    answers = [answer for one in crowd for answer in one.answers]
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.status for answer in answers} == {200, 503}
    assert {answer["retry-after"] for answer in refused} == {"1", "2", "3", "4"}
    assert refused[0].body == b'{\n  "message":"The gateway is overloaded"\n}'
    crowded = len(refused) / len(answers)
    assert sum(one.refused for one in critical) / 3 < crowded / 2
    client = await connect(running.port)
    assert [(await client.ask(crowd[0].request)).status for _ in range(20)] == [200] * 20
    client.close()
