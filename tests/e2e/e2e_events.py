"""The event log of a gateway in the test's own process, to be waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from e2e_wire import PATIENCE


class Events(list[dict[str, Any]]):
    """What was logged since the test began."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived = asyncio.Event()

    def take(self, line: bytes) -> None:
        self.append(orjson.loads(line))
        self._arrived.set()

    async def of(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Return the events of this name, as soon as there are ``count`` of them."""
        async with asyncio.timeout(PATIENCE):
            while len(found := [one for one in self if one["event"] == event]) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return found
