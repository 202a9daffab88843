"""Segments of a log in a spool directory: written by one process, whole or not at all after a kill, and named for good.

A segment's name holds all that the key of its object is made of, so that whoever sends it, and how often, it is the same
object. While it is written it is ``….open`` and locked; closed, it is ``….log``. One that is open and not locked has
lost its process, and is as good as closed: of its last line, what is not whole is left out when it is read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import re
import secrets
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from proxyd.telemetry.writer import NONE, PAUSE, LineWriter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

MAKING, OPEN, CLOSED = ".new", ".open", ".log"
ALONE: Final = "main"  # in place of a worker's number
_NAME: Final = re.compile(
    r"(?P<log>[a-z]+)~(?P<host>[A-Za-z0-9.-]+)~(?P<worker>[a-z0-9]+)~(?P<stamp>[0-9]{8}T[0-9]{9}Z)~[0-9a-f]{8}"
)


class Name(NamedTuple):
    """What a segment's name tells: which log of whom, and since when (UTC, ``20260131T120000000Z``)."""

    text: str
    log: str
    host: str
    worker: str
    stamp: str

    @classmethod
    def of(cls, path: Path) -> Name | None:
        """Return the name of a file; None for one that is no segment."""
        found = _NAME.fullmatch(path.stem)
        return cls(path.stem, *found.group("log", "host", "worker", "stamp")) if found else None

    def key(self, prefix: str, suffix: str) -> str:
        """Return the key of its object."""
        stamp = self.stamp
        filled = prefix.format(
            log=self.log,
            host=self.host,
            worker=self.worker,
            year=stamp[:4],
            month=stamp[4:6],
            day=stamp[6:8],
            hour=stamp[9:11],
        )
        return f"{filled}{self.text.replace('~', '_')}{suffix}"


def new_name(log: str, worker: str, now: float) -> str:
    """Return a name that nobody else takes."""
    moment = datetime.fromtimestamp(now, UTC)
    stamp = f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}Z"
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64] or "host"
    return f"{log}~{host}~{worker}~{stamp}~{secrets.token_hex(4)}"


class Rotation:
    """Closes the segments of a writer from time to time; the first time sooner, so that not all processes do together."""

    def __init__(self, writer: SegmentWriter, age: float, loop: asyncio.AbstractEventLoop) -> None:
        self._writer = writer
        self._age = age
        self._loop = loop
        self._handle = loop.call_later(age * random.uniform(0.5, 1.0), self._tick)  # noqa: S311  # no secret

    def __repr__(self) -> str:
        return f"<Rotation every {self._age:g} s of {self._writer!r}>"

    def _tick(self) -> None:
        self._writer.rotate()
        self._handle = self._loop.call_later(self._age, self._tick)

    def stop(self) -> None:
        """Close no more."""
        self._handle.cancel()


class SegmentWriter(LineWriter):
    """Writes lines into segments, from a thread; the first line of each opens it.

    ``limit`` is the size at which one is closed, ``time`` the wall clock.
    """

    def __init__(
        self,
        directory: Path,
        log: str,
        worker: str,
        size: int,
        time: Callable[[], float],
        failed: Callable[[OSError], None] | None = None,
    ) -> None:
        self._directory = directory
        self._log = log
        self._worker = worker
        self._most = size
        self._time = time
        self._path: Path | None = None
        self._size = 0
        super().__init__(f"{directory}/{log}", None, pause=PAUSE, failed=failed)

    def rotate(self) -> None:
        """Close the segment, behind the lines so far; nothing where there is none."""
        if self.pending or self._path is not None:
            self.reopen()

    # --- the thread ------------------------------------------------------------------------------------------

    def _reopen(self) -> bool:
        if self._fd != NONE:
            self._close_file()
            return True
        return super()._reopen()

    def _replace(self) -> None:
        path = self._directory / new_name(self._log, self._worker, self._time())
        made = f"{path}{MAKING}"
        descriptor = os.open(made, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(made, f"{path}{OPEN}")  # noqa: PTH104  # both are texts
        except OSError:
            os.close(descriptor)
            raise
        self._fd, self._path, self._size, self._torn = descriptor, path, 0, False

    def _write(self, data: bytes, lines: int) -> bool:
        fine = super()._write(data, lines)
        self._size += len(data)
        if self._size >= self._most and self._fd != NONE:
            self._close_file()
        return fine

    def _close_file(self) -> None:
        path, self._path = self._path, None
        if self._fd == NONE or path is None:
            return
        with contextlib.suppress(OSError):  # a disk that fails keeps what it can
            os.fsync(self._fd)
        empty = not os.fstat(self._fd).st_size
        with contextlib.suppress(OSError):
            if empty:
                os.unlink(f"{path}{OPEN}")  # noqa: PTH108  # a text
            else:
                os.rename(f"{path}{OPEN}", f"{path}{CLOSED}")  # noqa: PTH104  # both are texts
        super()._close_file()
