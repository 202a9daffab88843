"""Room on a disk. A file system that hangs holds one thread of its own, and neither the loop nor the end of the process."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

from proxyd.health.look import DownError

if TYPE_CHECKING:
    from proxyd.health.look import Around
    from proxyd.model.indicators import Disk


class DiskLook:
    """Asks the file system."""

    def __init__(self, config: Disk) -> None:
        self._config = config
        self._asking: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<DiskLook {self._config.path}>"

    async def look(self) -> dict[str, Any]:
        """Hold the room to what has to be there; raises DownError."""
        found = await self._ask()
        total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        percent = 100 * free / total if total else 100.0
        seen = {"free_bytes": free, "free_percent": round(percent, 1)}
        if free < self._config.min_free:
            raise DownError(f"{free} bytes are free, less than {self._config.min_free}", seen)
        if percent < self._config.min_free_percent:
            raise DownError(f"{percent:.1f} % are free, less than {self._config.min_free_percent:g} %", seen)
        return seen

    async def _ask(self) -> os.statvfs_result:
        if self._asking is not None and self._asking.is_alive():
            raise DownError("the file system does not answer")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[os.statvfs_result] = loop.create_future()

        def told(found: os.statvfs_result | OSError) -> None:
            if answer.done():
                return
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def ask() -> None:
            try:
                found: os.statvfs_result | OSError = os.statvfs(self._config.path)
            except OSError as error:
                found = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(told, found)

        self._asking = threading.Thread(target=ask, name="disk indicator", daemon=True)
        self._asking.start()
        return await answer

    async def close(self) -> None:
        """Let go of the thread; one that hangs ends with the process."""
        self._asking = None


def make(config: Disk, _around: Around) -> DiskLook:
    """Set it up."""
    return DiskLook(config)
