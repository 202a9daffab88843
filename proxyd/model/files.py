"""Files that are looked at for changes: by ``stat``, at an interval, which works on every file system.

It follows the symbolic links that Kubernetes swaps, and sees a file that an editor has put in place of another one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 1.0  # seconds between two looks at the configuration

Stamp = tuple[int, int, int]


def stamp_of(path: str) -> Stamp | None:
    """Return what changes with a file: time, size, inode; None where there is none."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class FileWatch:
    """Calls back once for each change of a file, when it has been left alone for an interval.

    ``stamp`` is what the file was before it was read. One that is being written, or is away, is waited for.
    """

    def __init__(self, path: str, stamp: Stamp | None) -> None:
        self._path = path
        self._taken = stamp
        self._changing: Stamp | None = None
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "off" if self._task is None else "changing" if self._changing else "quiet"
        return f"<FileWatch {self._path} {state}>"

    def start(self, changed: Callable[[], None], interval: float = INTERVAL) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._look(changed, interval))

    async def stop(self) -> None:
        """Look no longer; works without ``start``."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def taken(self) -> None:
        """Hear that the file is about to be read for another reason: as it is now, it is no news."""
        self._taken = stamp_of(self._path)

    async def _look(self, changed: Callable[[], None], interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            if self.see(await asyncio.to_thread(stamp_of, self._path)):
                changed()

    def see(self, stamp: Stamp | None) -> bool:
        """Take what the file is now; true where that is a change that has settled."""
        if stamp is None or stamp == self._taken:
            self._changing = None
        elif stamp != self._changing:
            self._changing = stamp
        else:
            self._taken, self._changing = stamp, None
            return True
        return False
