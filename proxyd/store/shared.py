"""Counters in a file that several processes map into their memory.

The file is a table of blocks. A caller's counters lie in the block that a digest of their key names, and whoever looks
holds that block's lock: a lock of the kernel on one byte of the file, which ends with its holder, however that dies.
The file belongs in memory (``/dev/shm``).

The locks are of the open file (``F_OFD_SETLK``) and not of the process: two gateways in one process that have each
opened the file exclude one another too, and closing one file does not let go of the other's lock. One ``SharedCounters``
is for one thread, and is opened after a fork.

A lock is held for some microseconds, unless its holder is stopped (SIGSTOP, a frozen container). Nobody waits for that
longer than ``WAIT``, and behind the first who did so nobody waits for that block at all, until its lock is free again:
``take`` raises CountersAway. Other blocks are not concerned.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import select
import struct
from typing import TYPE_CHECKING, NamedTuple

from proxyd.clock import Clock
from proxyd.store.counters import CountersAway, Taken, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_HEADER = struct.Struct("<16sQ40x")  # magic, number of blocks
_MAGIC = b"proxyd counters2"
_RECORD = struct.Struct("<qQQq")  # start of the window, count, count before, when the record may go
_FLOCK = struct.Struct("hhqqi4x")  # struct flock, where off_t has 64 bits: type, whence, start, length, pid
_DIGEST = 16  # bytes of a name: those of a digest, and the period
_PERIODS = tuple(bytes([period]) for period in range(6))

# A block: the names of its counters, and then their records in the same order. The last records have no names: they
# are the strangers', one of each period.
COUNTERS = 58
_STRANGERS = 6
_RECORDS = COUNTERS * _DIGEST  # where in a block they begin
_BLOCK = _RECORDS + (COUNTERS + _STRANGERS) * _RECORD.size
_ENDS = struct.Struct("<" + "24xq" * COUNTERS)
BLOCKS = 4096  # 237,568 counters; 12 MB

WAIT = 0.1  # seconds: the longest that a request waits for a lock
OPEN_WAIT = 5.0  # the same as a gateway starts
PAUSE = 0.0005  # seconds between two tries
# How long a record outlives its window, in seconds: whoever comes late with an earlier window finds it used up, be it
# from a clock read before the boundary or from one that was set back a little.
LINGER_SHORT, LINGER = 5, 60
_REMEMBERED = 16_384  # keys whose place is remembered


class Slot(NamedTuple):
    """One record."""

    start: int
    counted: int
    before: int
    end: int


class SharedCounters:
    """Counts in a file; raises OSError where it cannot be used, ValueError where it is something else.

    A descriptor in place of the ``path`` stands for a file that has no name any more, or never had one.
    ``stuck`` is called with true when a lock was waited for in vain, and with false when that is over.
    """

    def __init__(
        self,
        path: Path | int,
        blocks: int = BLOCKS,
        *,
        now: Callable[[], float] | None = None,
        stuck: Callable[[bool], None] = lambda _stuck: None,
    ) -> None:
        self.crowded = 0
        self._now = now or Clock().now  # of an instance: compiled, the class has descriptors
        self._tell_stuck = stuck
        self._stuck: set[int] = set()
        self._places: dict[bytes, tuple[bytes, int, bytes, bytes]] = {}
        self._file = _open(path)
        try:
            self._blocks = self._open(blocks)
            if not isinstance(path, int):
                self._reserve()
            self._map = mmap.mmap(self._file, _HEADER.size + self._blocks * _BLOCK)
        except BaseException:
            os.close(self._file)
            raise

    def __repr__(self) -> str:
        return f"<SharedCounters blocks={self._blocks} stuck={len(self._stuck)}>"

    def _open(self, blocks: int) -> int:
        lock, unlock = _locks(0)  # of the header
        if not self._wait(lock, OPEN_WAIT):
            raise BlockingIOError(errno.EAGAIN, "a process holds it and does not go on")
        try:
            return self._look(blocks)
        finally:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, unlock)

    def _look(self, blocks: int) -> int:
        """Return how many blocks there are, after making them where the file is new."""
        size = os.fstat(self._file).st_size
        if not size:
            os.ftruncate(self._file, _HEADER.size + blocks * _BLOCK)
            os.pwrite(self._file, _HEADER.pack(_MAGIC, blocks), 0)
            return blocks
        header = os.pread(self._file, _HEADER.size, 0)
        magic, there = _HEADER.unpack(header) if len(header) == _HEADER.size else (b"", 0)
        if magic != _MAGIC or size != _HEADER.size + there * _BLOCK:
            raise ValueError("is not a file of counters, or one of another version")
        return int(there)

    def _reserve(self) -> None:
        """Have all of a file's room; raises OSError. A full file system would otherwise end a process that counts (SIGBUS)."""
        found = os.fstat(self._file)
        if (
            found.st_blocks * 512 < found.st_size
        ):  # stat(2) counts in 512 bytes, whatever the file system does
            os.posix_fallocate(self._file, 0, found.st_size)

    # --- counting --------------------------------------------------------------------------------------------

    def take(self, key: bytes, windows: Sequence[Window], now: float, amount: int = 1) -> Taken:
        """Count, while no other process does."""
        digest, block, lock, unlock = self._places.get(key) or self._place(key)
        self._lock(block, lock)
        try:
            if len(windows) == 1:
                return self._take_one(digest, block, windows[0], now, amount)
            found = [self._find(digest, block, window) for window in windows]
            counts = tuple([(slot.counted, slot.before) for _, slot in found])
            for window, (count, before) in zip(windows, counts, strict=True):
                if window.used(count, before, now) >= window.limit:
                    return False, counts
            for window, (place, slot) in zip(windows, found, strict=True) if amount else ():
                self._write(digest, block, window, place, slot._replace(counted=slot.counted + amount), now)
            return True, counts
        finally:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, unlock)

    def _take_one(self, digest: bytes, block: int, window: Window, now: float, amount: int) -> Taken:
        """Count in one window, the common case, with as little as it needs."""
        at = self._map.find(digest + _PERIODS[window.period], block, block + _RECORDS)
        if at >= 0 and not (at - block) % _DIGEST:
            record = block + _RECORDS + (at - block) // _DIGEST * _RECORD.size
            start, count, before, end = _RECORD.unpack_from(self._map, record)
            if start == window.start:
                if window.used(count, before, now) >= window.limit:
                    return False, ((count, before),)
                _RECORD.pack_into(self._map, record, start, count + amount, before, end)
                return True, ((count, before),)
        place, slot = self._find(digest, block, window)
        counts = ((slot.counted, slot.before),)
        if window.used(slot.counted, slot.before, now) >= window.limit:
            return False, counts
        if amount:
            self._write(digest, block, window, place, slot._replace(counted=slot.counted + amount), now)
        return True, counts

    def add(self, key: bytes, window: Window, amount: int, now: float) -> None:
        """Count more, while no other process does."""
        digest, block, lock, unlock = self._places.get(key) or self._place(key)
        self._lock(block, lock)
        try:
            place, slot = self._find(digest, block, window)
            self._write(digest, block, window, place, slot._replace(counted=slot.counted + amount), now)
        finally:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, unlock)

    def _place(self, key: bytes) -> tuple[bytes, int, bytes, bytes]:
        """Return the digest of a key, where its block is, and what locks and unlocks that."""
        digest = hashlib.blake2b(key, digest_size=_DIGEST - 1).digest()
        block = _HEADER.size + int.from_bytes(digest[:8], "little") % self._blocks * _BLOCK
        if len(self._places) >= _REMEMBERED:
            self._places.clear()
        self._places[key] = made = (digest, block, *_locks(block))
        return made

    def _find(self, digest: bytes, block: int, window: Window) -> tuple[int, Slot]:
        """Return which record of its block a counter is, -1 for none yet, and what it holds, moved into the window.

        Who has none begins where the strangers are: it may have been one of them in this very window.
        """
        name = digest + _PERIODS[window.period]
        end = block + _RECORDS
        at = self._map.find(name, block, end)
        while at >= 0 and (at - block) % _DIGEST:  # across two names, by a chance that is none
            at = self._map.find(name, at + 1, end)
        place = -1 if at < 0 else (at - block) // _DIGEST
        record = COUNTERS + window.period if at < 0 else place
        slot = Slot(*_RECORD.unpack_from(self._map, end + record * _RECORD.size))
        if slot.start >= window.start and slot.end:
            return place, slot
        before = slot.counted if slot.start == window.previous else 0
        length = window.end - window.start
        linger = min(LINGER, max(LINGER_SHORT, length))
        return place, Slot(window.start, 0, before, window.end + linger + window.sliding * length)

    def _write(self, digest: bytes, block: int, window: Window, place: int, slot: Slot, now: float) -> None:
        records = block + _RECORDS
        new = place < 0
        if new:
            place = self._free(records, now)
            if place >= 0:
                self._retire(block, place)
        if place < 0:
            self.crowded += 1
            place, new = COUNTERS + window.period, False
        _RECORD.pack_into(self._map, records + place * _RECORD.size, *slot)
        if (
            new
        ):  # last: who is killed in between has counted too much for another, and not too little for this one
            at = block + place * _DIGEST
            self._map[at : at + _DIGEST] = digest + _PERIODS[window.period]

    def _retire(self, block: int, place: int) -> None:
        """Leave with the strangers, where newcomers begin, how far a record was that makes room for another.

        Whose record it was may come again by a clock that was set back: what was used up then stays used up.
        """
        records = block + _RECORDS
        old = Slot(*_RECORD.unpack_from(self._map, records + place * _RECORD.size))
        if not old.end:
            return  # nobody's yet
        # A start that no window has: it is later than that window's, and not the one before the next's.
        old = old._replace(start=old.start + 1)
        period = self._map[block + (place + 1) * _DIGEST - 1]
        there = records + (COUNTERS + period) * _RECORD.size
        kept = Slot(*_RECORD.unpack_from(self._map, there))
        if kept.end and kept.start == old.start:
            old = old._replace(counted=max(old.counted, kept.counted), before=max(old.before, kept.before))
        if not kept.end or kept.start <= old.start:
            _RECORD.pack_into(self._map, there, *old)

    def _free(self, records: int, now: float) -> int:
        """Return a record that nothing is counted in any more, or -1."""
        ends = _ENDS.unpack_from(self._map, records)
        return next((place for place, end in enumerate(ends) if end <= now), -1)

    # --- locks -----------------------------------------------------------------------------------------------

    def _lock(self, block: int, lock: bytes) -> None:
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, lock)
        except (BlockingIOError, PermissionError):
            if block in self._stuck or not self._wait(lock, WAIT):
                if not self._stuck:
                    self._tell_stuck(True)
                self._stuck.add(block)
                raise CountersAway("a process holds counters and does not go on") from None
        if self._stuck and block in self._stuck:
            self._stuck.discard(block)
            if not self._stuck:
                self._tell_stuck(False)

    def _wait(self, lock: bytes, seconds: float) -> bool:
        give_up = self._now() + seconds
        while True:
            with contextlib.suppress(BlockingIOError, PermissionError):
                fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, lock)
                return True
            if self._now() >= give_up:
                return False
            select.select((), (), (), PAUSE)

    def close(self) -> None:
        """Let go of the file; it stays, with its counts."""
        self._map.close()
        os.close(self._file)


def _open(path: Path | int) -> int:
    if isinstance(path, int):
        # Not a duplicate: whoever shares an open file with another shares its locks, too.
        return os.open(f"/proc/self/fd/{path}", os.O_RDWR | os.O_CLOEXEC)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _locks(byte: int) -> tuple[bytes, bytes]:
    """Return what locks a byte of the file, and what unlocks it."""
    lock, unlock = (_FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0) for kind in (fcntl.F_WRLCK, fcntl.F_UNLCK))
    return lock, unlock
