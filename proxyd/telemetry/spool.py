"""The directory in which segments wait for their way to a bucket: what is there, what is too much, what was orphaned."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from proxyd.telemetry.segments import CLOSED, MAKING, OPEN, Name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

FORGOTTEN = 60.0  # seconds after which a file that was never opened has lost its process
LEVEL = 6  # of compression


class Waiting(NamedTuple):
    """A segment that is closed."""

    name: Name
    path: Path
    size: int


class State(NamedTuple):
    """What a look has found: closed segments, the oldest first, the size of all, and how many were dropped for lack of room."""

    waiting: list[Waiting]
    size: int
    dropped: int


class Body(NamedTuple):
    """What is sent of a segment, and its SHA-256 in hexadecimal."""

    data: bytes
    sha256: str


class Spool:
    """The directory. Its methods wait for the disk: they are called from threads."""

    def __init__(self, directory: Path, limit: int, time: Callable[[], float]) -> None:
        self.directory = directory
        self.limit = limit
        self._time = time

    def __repr__(self) -> str:
        return f"<Spool {self.directory}>"

    def look(self, logs: Collection[str], spared: str = "") -> State:
        """Close what has lost its process, drop the oldest beyond the limit, and tell what is there.

        ``logs`` are those that are shipped; the one whose name is ``spared`` is under way.
        """
        waiting: list[Waiting] = []
        total = dropped = 0
        with os.scandir(self.directory) as entries:
            files = sorted((Path(entry.path) for entry in entries), key=_age)
        for path in files:
            name = Name.of(path)
            if name is None or name.log not in logs:
                continue
            if path.suffix == MAKING:
                self._forget(path)
                continue
            closed = _closed(path)
            size = _size(closed or path)
            total += size
            if closed is not None:
                waiting.append(Waiting(name, closed, size))
        for one in list(waiting):
            if total <= self.limit:
                break
            if one.name.text != spared:
                one.path.unlink(missing_ok=True)
                waiting.remove(one)
                total -= one.size
                dropped += 1
        return State(waiting, total, dropped)

    def _forget(self, path: Path) -> None:
        try:
            if self._time() - path.stat().st_mtime > FORGOTTEN:
                path.unlink()
        except FileNotFoundError:
            pass

    @staticmethod
    def read(path: Path, *, compress: bool) -> Body | None:
        """Return what is to be sent; None where there is no whole line, or where another one has sent it. Raises OSError."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        data = data[: data.rfind(b"\n") + 1]
        if not data:
            return None
        if compress:
            data = gzip.compress(data, LEVEL, mtime=0)  # the same bytes each time
        return Body(data, hashlib.sha256(data).hexdigest())


def _age(path: Path) -> str:
    name = Name.of(path)
    return name.stamp if name is not None else ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # closed in this moment
        return 0


def _closed(path: Path) -> Path | None:
    """Return the path of a segment that is closed, or as good as that; None for one that is being written."""
    if path.suffix == CLOSED:
        return path
    if path.suffix != OPEN:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.rename(path.with_suffix(CLOSED))
    except OSError:  # somebody writes it, or has closed it in this moment
        return None
    finally:
        os.close(descriptor)
