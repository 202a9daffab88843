"""Counters in a file that several processes map into their memory.

The file is a table of slots, found by hash and a short walk. Whoever looks holds the kernel's lock on it, which ends
with its holder, however that dies. A step writes a few slots of 64 bytes; the file belongs in memory (``/dev/shm``).
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from typing import TYPE_CHECKING

from proxyd.store.counters import EMPTY, Slot, Taken, Window, decide, moved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HEADER = struct.Struct("<16sQ40x")  # magic, number of slots
_SLOT = struct.Struct("<16sQQQQ16x")  # digest of the key; start, count, count before, end
_MAGIC = b"proxyd counters1"
SLOTS = 65_536  # 4 MB
WALK = 32  # slots that a key may lie behind the one that its hash names


class SharedCounters:
    """Counts in a file; raises OSError where it cannot be used, ValueError where it is something else."""

    def __init__(self, path: Path, slots: int = SLOTS) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                self._slots = self._open(slots)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
            self._map = mmap.mmap(self._file, _HEADER.size + self._slots * _SLOT.size)
        except BaseException:
            os.close(self._file)
            raise

    def __repr__(self) -> str:
        return f"<SharedCounters slots={self._slots}>"

    def _open(self, slots: int) -> int:
        size = os.fstat(self._file).st_size
        if not size:
            os.ftruncate(self._file, _HEADER.size + slots * _SLOT.size)
            os.pwrite(self._file, _HEADER.pack(_MAGIC, slots), 0)
            return slots
        header = os.pread(self._file, _HEADER.size, 0)
        magic, there = _HEADER.unpack(header) if len(header) == _HEADER.size else (b"", 0)
        if magic != _MAGIC or size != _HEADER.size + there * _SLOT.size:
            raise ValueError("is not a file of counters")
        return int(there)

    def take(self, key: bytes, windows: Sequence[Window]) -> Taken:
        """Count, while no other process does."""
        digests = [hashlib.blake2b(key + window.name, digest_size=16).digest() for window in windows]
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            places: list[int] = []
            for digest, window in zip(digests, windows, strict=True):
                places.append(self._find(digest, window.start, places))
            slots = [
                moved(self._read(place, digest), window)
                for place, digest, window in zip(places, digests, windows, strict=True)
            ]
            taken = decide(slots, windows)
            if taken.admitted:
                for place, digest, slot in zip(places, digests, slots, strict=True):
                    _SLOT.pack_into(
                        self._map, place, digest, slot.start, slot.used + 1, slot.before, slot.end
                    )
            return taken
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _find(self, digest: bytes, now: int, others: list[int]) -> int:
        """Return where a key's slot is, or is to be: a free one, one that is over, or the one that is over first."""
        first = int.from_bytes(digest[:8], "little")
        best, earliest = -1, 0
        for step in range(WALK):
            place = _HEADER.size + (first + step) % self._slots * _SLOT.size
            owner, _, _, _, end = _SLOT.unpack_from(self._map, place)
            if owner == digest:
                return place
            if place in others:
                continue
            end = 0 if end <= now else end
            if best < 0 or end < earliest:
                best, earliest = place, end
        return best

    def _read(self, place: int, digest: bytes) -> Slot:
        owner, start, count, before, end = _SLOT.unpack_from(self._map, place)
        return Slot(start, count, before, end) if owner == digest else EMPTY

    def close(self) -> None:
        """Let go of the file; it stays, with its counts."""
        self._map.close()
        os.close(self._file)
