"""Clients that ask all the time, never twice for the same thing, and count what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from e2e_wire import Wire, connect

BODY = b"x" * 64
POST = b"POST /load HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Load:
    """``kept`` clients that keep their connection as long as they may, ``fresh`` ones that open one for each request.

    ``failures`` are what a client without retries would have to tell its user: no answer, half an answer, another status.
    """

    def __init__(
        self, port: int, kept: int = 4, fresh: int = 2, request: bytes = POST, pause: float = 0.0
    ) -> None:
        self.done = 0
        self.failures: list[str] = []
        self.statuses: Counter[int] = Counter()
        self._port = port
        self._request = request
        self._pause = pause  # after each answer, where starting processes need the cores as well
        self._stopping = False
        self._tasks = [asyncio.ensure_future(self._kept()) for _ in range(kept)]
        self._tasks += [asyncio.ensure_future(self._fresh()) for _ in range(fresh)]
        self._moved = asyncio.Event()

    async def more(self, count: int) -> None:
        """Wait until so many more requests have been answered."""
        goal = self.done + count
        async with asyncio.timeout(30):
            while self.done < goal:
                self._moved.clear()
                await self._moved.wait()

    async def stop(self) -> None:
        """Let what is under way finish."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _kept(self) -> None:
        while not self._stopping:
            with contextlib.suppress(_FailedError):
                wire = await self._open()
                try:
                    while not self._stopping and await self._ask(wire, self._request):
                        pass
                finally:
                    wire.close()

    async def _fresh(self) -> None:
        while not self._stopping:
            with contextlib.suppress(_FailedError):
                wire = await self._open()
                try:
                    await self._ask(
                        wire, self._request.replace(b"Host: h\r\n", b"Host: h\r\nConnection: close\r\n")
                    )
                finally:
                    wire.close()

    async def _open(self) -> Wire:
        try:
            return await connect(self._port)
        except OSError as error:
            raise self._failed(f"connect: {error!r}") from error

    async def _ask(self, wire: Wire, request: bytes) -> bool:
        """Ask once; tell whether the connection may be used again."""
        try:
            answer = await wire.ask(request)
        except (OSError, EOFError, TimeoutError) as error:
            raise self._failed(repr(error)) from error
        self.done += 1
        self.statuses[answer.status] += 1
        self._moved.set()
        if self._pause:
            await asyncio.sleep(self._pause)
        return "close" not in answer.all("connection")

    def _failed(self, reason: str) -> _FailedError:
        self.failures.append(reason)
        return _FailedError()


class _FailedError(Exception):
    pass
