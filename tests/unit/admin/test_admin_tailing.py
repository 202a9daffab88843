"""The live tail over server-sent events: order, counts, limits, and its end."""

from __future__ import annotations

import asyncio
import json

import pytest
from admin_case import Source, get

from proxyd.admin.insight import tailing
from proxyd.admin.insight.tailing import WAITING, Watcher
from proxyd.telemetry.tail import WATCHERS, Filter


class Watched(Source):
    """A gateway of two processes; ``asked`` is who watches, as they were told last."""

    def __init__(self):
        super().__init__()
        self.asked = None
        self.telling = []

    async def tail(self, watches):
        self.asked = dict(watches)
        telling, self.telling = self.telling, []
        return [(process, json.dumps(dict.fromkeys(watches, told)).encode()) for process, told in telling]


def line(time, path="/"):
    return {"time": f"2026-01-01T00:00:0{time}Z", "path": path}


async def event(response):
    """Return the data of the next event."""
    while True:
        text = (await response.content.readline()).decode()
        assert text, "the stream has ended"
        if text.startswith("data: "):
            return json.loads(text.removeprefix("data: "))


async def test_requests_of_all_processes_come_in_their_order(serve):
    """With how many there were, and how many of them were left out."""
    source = Watched()
    client = await serve(source)
    async with client.get("/dashboard/tail?status=5xx&path=Orders") as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert await event(response) == {"seen": 0, "left_out": 0, "requests": []}
        source.telling = [
            (1, {"seen": 5, "lines": [line(1), line(3)]}),
            (2, {"seen": 1, "lines": [line(2)]}),
        ]
        told = await event(response)
        assert [one["time"][18] for one in told["requests"]] == ["1", "2", "3"]
        assert (told["seen"], told["left_out"]) == (6, 3)
        (asked,) = source.asked.values()
        assert (asked["status"], asked["path"]) == ("5xx", "orders")
    while source.asked:  # noqa: ASYNC110  # whoever is gone is asked for no longer
        await asyncio.sleep(0.05)


async def test_filters_that_are_none_are_refused(serve):
    """400, with the part that is wrong."""
    client = await serve(Watched())
    assert list((await get(client, "/dashboard/tail?status=abc", 400))["fields"]) == ["status"]
    assert list((await get(client, "/dashboard/tail?slow=-1", 400))["fields"]) == ["slow"]


async def test_only_so_many_watch(serve):
    """One more is 429; when one has left, there is room."""
    client = await serve(Watched())
    responses = [await client.get("/dashboard/tail") for _ in range(WATCHERS)]
    async with client.get("/dashboard/tail") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "10")
    responses.pop().close()
    async with asyncio.timeout(20):
        while True:
            async with client.get("/dashboard/tail") as response:
                if response.status == 200:
                    break
            await asyncio.sleep(0.1)
    for response in responses:
        response.close()


async def test_a_stream_ends_with_the_listener(serve):
    """Whoever watches does not hold a stop up."""
    client = await serve(Watched())
    async with client.get("/dashboard/tail") as response:
        await event(response)
        await client.server.close()
        assert "data" not in (await response.content.read()).decode()


def test_what_a_client_does_not_read_is_dropped_and_counted():
    """The oldest first; a process that begins anew is counted from there."""
    watcher = Watcher(Filter())
    watcher.hear(1, 10, [])
    watcher.hear(1, WAITING + 20, [line(1)] * (WAITING + 10))
    watcher.settle()
    assert (len(watcher.lines), watcher.seen, watcher.left_out) == (WAITING, WAITING + 20, 20)
    watcher.hear(1, 3, [])
    assert (watcher.seen, watcher.left_out) == (WAITING + 23, 23)
    assert repr(watcher).startswith("<Watcher Filter(")


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_viewers_watch_and_nobody_else_does(serve, role):
    """It takes a token where there are any."""
    client = await serve(Source(admin_tokens=f"{role}:{'t' * 20}"))
    await get(client, "/dashboard/tail", 401)


async def test_who_reads_nothing_does_not_keep_its_place(serve, monkeypatch):
    """Its connection is cut when the time of a stream is over, however much it was told."""
    monkeypatch.setattr(tailing, "LIFE", 1.0)
    monkeypatch.setattr(tailing, "PERIOD", 0.01)

    class Busy(Watched):
        async def tail(self, watches):
            self.asked = dict(watches)
            told = {"seen": 1, "lines": [line(1, "/" + "x" * 100_000)] * 20}
            return [(1, json.dumps(dict.fromkeys(watches, told)).encode())]

    source = Busy()
    client = await serve(source)
    reader, writer = await asyncio.open_connection(client.host, client.port, limit=1)
    writer.write(b"GET /dashboard/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(20):
        while not source.asked:  # noqa: ASYNC110  # it has begun
            await asyncio.sleep(0.01)
        while source.asked:  # noqa: ASYNC110  # and is not asked for any more
            await asyncio.sleep(0.01)
    writer.close()
    del reader
