"""``/dashboard/tail``: requests as they finish, of all workers, as server-sent events.

While somebody watches, the processes are asked twice a second for what they have (``telemetry.tail``). What comes faster than a
client reads is dropped and counted; what processes left out is counted, too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from proxyd.admin.answers import Refusal
from proxyd.admin.entities.reading import READERS
from proxyd.admin.openapi.described import Query, described
from proxyd.apps.roles import roles
from proxyd.telemetry.tail import WATCHERS, Filter

if TYPE_CHECKING:
    from proxyd.admin.source import AdminSource

PERIOD: Final = 0.5  # seconds between two questions
BEAT: Final = 10.0  # seconds after which a client that nothing is to be told hears that all is well
LIFE: Final = 300.0  # seconds of one answer: the browser asks again, and has to say again who it is
WAITING: Final = 500  # lines for one client
_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
_FILTERS: Final = (
    Query("route", "Only those of a route, by name or id."),
    Query("consumer", "Only those of a consumer, by name or id."),
    Query("status", "Only those with a status (404), or one of a class (4xx)."),
    Query("method", "Only those by a method."),
    Query("path", "Only those with this in their path."),
    Query("slow", "Only those that took as many milliseconds.", {"type": "number", "minimum": 0}),
)


class Watcher:
    """One client: ``lines`` are those that it has not been told, ``seen`` the requests that it asked for."""

    def __init__(self, wanted: Filter) -> None:
        self.filter = wanted
        self.lines: deque[dict[str, Any]] = deque()
        self.seen = 0
        self.left_out = 0
        self.news = asyncio.Event()
        self.known = asyncio.Event()  # to the processes
        self._before: dict[int, int] = {}  # what each process has seen

    def __repr__(self) -> str:
        return f"<Watcher {self.filter} waiting={len(self.lines)} left_out={self.left_out}>"

    def hear(self, process: int, seen: int, lines: list[dict[str, Any]]) -> None:
        """Take what a process tells."""
        before = self._before.get(process, 0)
        new = seen - before if seen >= before else seen  # it has begun anew
        self._before[process] = seen
        self.seen += new
        self.left_out += max(0, new - len(lines))
        self.lines.extend(lines)

    def settle(self) -> None:
        """Bring what all processes have told into its order, and drop what is too much."""
        self.lines = deque(sorted(self.lines, key=lambda line: str(line["time"])))
        while len(self.lines) > WAITING:
            self.lines.popleft()
            self.left_out += 1
        if self.lines:
            self.news.set()

    def event(self) -> bytes:
        """Return what is to be told, as an event."""
        lines, self.lines = list(self.lines), deque()
        self.news.clear()
        told = {"seen": self.seen, "left_out": self.left_out, "requests": lines}
        return b"event: requests\ndata: " + orjson.dumps(told) + b"\n\n"


class Tailing:
    """Everybody who watches, and the task that asks for them while there is anybody."""

    def __init__(self, source: AdminSource) -> None:
        self._source = source
        self._watchers: dict[str, Watcher] = {}
        self._count = 0
        self._asking: asyncio.Task[None] | None = None
        self._ending = False
        self._joined = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Tailing watchers={len(self._watchers)}>"

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/dashboard/tail", self._tail)
        app.on_shutdown.append(self._stop)

    # --- one client ------------------------------------------------------------------------------------------

    @roles(*READERS)
    @described(
        "Stream requests as they finish, of all workers, until the client leaves or five minutes are over.",
        answers={200: {"type": "string"}},
        query=_FILTERS,
        refusals=(429,),
        media="text/event-stream",
    )
    async def _tail(self, request: web.Request) -> web.StreamResponse:
        try:
            wanted = Filter.of(request.query)
        except ValueError as error:
            raise Refusal.schema(*error.args) from None
        if len(self._watchers) >= WATCHERS or self._ending:
            raise Refusal(
                429, {"message": f"{WATCHERS} watch already, as many as may"}, {"Retry-After": "10"}
            )
        name, watcher = self._join(wanted)
        response = web.StreamResponse(headers=_HEADERS)
        try:
            await response.prepare(request)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(watcher.known.wait(), PERIOD)
            await response.write(b"retry: 2000\n\n" + watcher.event())
            async with asyncio.timeout(LIFE):
                await self._tell(request, response, watcher)
        except TimeoutError:  # it has read nothing for long, and keeps a place from others
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the client has gone, which is how most of them end
        finally:
            del self._watchers[name]
        return response

    def _join(self, wanted: Filter) -> tuple[str, Watcher]:
        self._count += 1
        name = str(self._count)
        watcher = self._watchers[name] = Watcher(wanted)
        self._joined.set()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        return name, watcher

    async def _tell(self, request: web.Request, response: web.StreamResponse, watcher: Watcher) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + LIFE
        beat = loop.time() + BEAT
        while not self._ending and loop.time() < end:
            try:
                await asyncio.wait_for(watcher.news.wait(), PERIOD * 2)
            except TimeoutError:
                if request.transport is None or request.transport.is_closing():
                    return
                if loop.time() < beat:
                    continue
            if not self._ending:
                await response.write(watcher.event())
                beat = loop.time() + BEAT

    # --- all of them -----------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        """Ask while there is anybody, and once more so that the processes stop."""
        while True:
            self._joined.clear()
            watching = list(self._watchers.values())
            told = await self._source.tail({name: asdict(one.filter) for name, one in self._watchers.items()})
            for process, document in told:
                for name, one in orjson.loads(document).items():
                    if (watcher := self._watchers.get(name)) is not None:
                        watcher.hear(process, one["seen"], one["lines"])
            for watcher in watching:
                watcher.known.set()
                watcher.settle()
            if not watching and not self._watchers:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._joined.wait(), PERIOD)

    async def _stop(self, _app: web.Application) -> None:
        self._ending = True
        for watcher in self._watchers.values():
            watcher.known.set()
            watcher.news.set()
        task, self._asking = self._asking, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
