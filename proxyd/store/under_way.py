"""How many requests are under way of whom: in one process, or over all workers of a gateway.

Over several processes, each has a row of cells in a file that all of them map, writes its own row alone, and reads those of
all. A process adds itself first and then looks whether there are too many: so two at the same moment may both be refused,
and never both be let in. The row of a process that is gone is empty as soon as another one opens the file.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import struct
from typing import Protocol

# Cells of a row, and places of each key: who shares a cell with others in all of its places is counted with them. That
# is one of a thousand where ten thousand have something under way. Cells that nobody uses take no memory.
CELLS = 1 << 18
PROBES = 3
CELL = struct.Struct("=I")
ROW = CELLS * CELL.size
_FLOCK = struct.Struct("hhqqi4x")  # as in ``shared``
_REMEMBERED = 16_384  # keys whose places are remembered


class UnderWay(Protocol):
    """Counts what has begun and not ended, by whose it is."""

    def enter(self, key: str, limit: int) -> bool:
        """Count one more, if there are not ``limit`` already; tells whether it was counted."""

    def leave(self, key: str) -> None:
        """Count one less."""

    def close(self) -> None:
        """Let go of what is shared."""


class LocalUnderWay:
    """Counts in this process. ``counts`` has who has anything under way."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<LocalUnderWay {len(self.counts)}>"

    def enter(self, key: str, limit: int) -> bool:
        """Count one more, if there are not ``limit`` already; tells whether it was counted."""
        count = self.counts.get(key, 0)
        if count >= limit:
            return False
        self.counts[key] = count + 1
        return True

    def leave(self, key: str) -> None:
        """Count one less."""
        left = self.counts[key] - 1
        if left:
            self.counts[key] = left
        else:
            del self.counts[key]

    def close(self) -> None:
        """Nothing is shared."""


def make_file(processes: int) -> int:
    """Return the descriptor of a file for so many processes at the same time."""
    fd = os.memfd_create("proxyd-under-way", os.MFD_CLOEXEC)
    os.ftruncate(fd, processes * ROW)
    return fd


class SharedUnderWay:
    """Counts with others in a file that ``make_file`` has made; raises OSError where it has no room for one more."""

    def __init__(self, fd: int) -> None:
        # Locks are of the open file, which an inherited descriptor shares with whoever has opened it.
        self._file = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        self._map = mmap.mmap(self._file, os.fstat(self._file).st_size)
        self._cells = memoryview(self._map).cast("I")
        self._places: dict[str, tuple[int, ...]] = {}
        row = self._claim()
        if row < 0:
            self.close()
            raise OSError(errno.EUSERS, os.strerror(errno.EUSERS))
        self._own = row * CELLS

    def __repr__(self) -> str:
        return f"<SharedUnderWay row={self._own // CELLS} of {len(self._cells) // CELLS}>"

    def _claim(self) -> int:
        """Empty the rows of those that are gone, and return the first of them, -1 for none."""
        own = -1
        for row in range(len(self._cells) // CELLS):
            try:
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK, row))
            except (BlockingIOError, PermissionError):
                continue
            self._map.madvise(mmap.MADV_REMOVE, row * ROW, ROW)
            if own < 0:
                own = row  # its lock ends with this process, however that dies
            else:
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK, row))
        return own

    def enter(self, key: str, limit: int) -> bool:
        """Count one more, if there are not ``limit`` already; tells whether it was counted."""
        places = self._places.get(key) or self._find(key)
        cells, own = self._cells, self._own
        for place in places:
            cells[own + place] += 1
        for place in places:
            if sum(cells[place::CELLS]) <= limit:
                return True
        self.leave(key)
        return False

    def leave(self, key: str) -> None:
        """Count one less."""
        cells, own = self._cells, self._own
        for place in self._places.get(key) or self._find(key):
            cells[own + place] -= 1

    def _find(self, key: str) -> tuple[int, ...]:
        digest = hashlib.blake2b(key.encode(), digest_size=4 * PROBES).digest()
        if len(self._places) >= _REMEMBERED:
            self._places.clear()
        numbers = struct.unpack(f"<{PROBES}I", digest)
        self._places[key] = places = tuple({number % CELLS for number in numbers})
        return places

    def close(self) -> None:
        """Let go of the file, and of the row in it."""
        self._cells.release()
        self._map.close()
        os.close(self._file)


def _flock(kind: int, byte: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0)
