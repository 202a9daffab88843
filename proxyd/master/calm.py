"""Starts of workers and changes of the configuration exclude each other, so that no worker begins with an old one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Calm:
    """Many may start at the same time; a change waits for them, and those that come later wait for the change."""

    def __init__(self) -> None:
        self._starting = 0
        self._changing = False
        self._moved = asyncio.Condition()

    def __repr__(self) -> str:
        return f"<Calm {'changing' if self._changing else 'steady'} starting={self._starting}>"

    @property
    def is_changing(self) -> bool:
        """Whether a change is under way, or waits for starts."""
        return self._changing

    @contextlib.asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """Start a worker within."""
        async with self._moved:
            await self._moved.wait_for(lambda: not self._changing)
            self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1
            async with self._moved:
                self._moved.notify_all()

    @contextlib.asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Change the configuration within."""
        async with self._moved:
            await self._moved.wait_for(lambda: not self._changing)
            self._changing = True
            try:
                await self._moved.wait_for(lambda: not self._starting)
            except BaseException:
                self._changing = False
                self._moved.notify_all()
                raise
        try:
            yield
        finally:
            self._changing = False
            async with self._moved:
                self._moved.notify_all()
