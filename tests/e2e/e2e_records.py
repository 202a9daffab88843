"""Collectors that keep what they are sent, and answer as told."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

from aiohttp import web
from e2e_wire import PATIENCE


class Collector:
    """An HTTP collector. Each request uses up one of ``answers``: a status, ``reset``, or an event to wait for."""

    def __init__(self, *answers: Any, port: int = 0, ssl: Any = None) -> None:
        self.answers = list(answers)
        self.port = port
        self.bodies: list[Any] = []
        self.headers: list[Any] = []
        self.refused = 0
        self._ssl = ssl
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._ssl, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            answer = 200
        if answer == "reset":
            self.refused += 1
            request.transport.abort()
            return web.Response()
        if answer >= 400:
            self.refused += 1
        else:
            self.bodies.append(json.loads(body))
            self.headers.append((request.method, request.path_qs, request.headers))
        async with self._changed:
            self._changed.notify_all()
        return web.Response(status=answer)

    @property
    def records(self) -> list[dict[str, Any]]:
        """What came, batches taken apart."""
        return [one for body in self.bodies for one in (body if isinstance(body, list) else [body])]

    async def until(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many records."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.records) >= count)
        return self.records


def uris(records: list[dict[str, Any]]) -> list[str]:
    return [record["request"]["uri"] for record in records]
