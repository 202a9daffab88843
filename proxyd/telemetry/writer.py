"""Lines to a file or a standard stream, from a thread: a full pipe or a stalled disk stops nobody else.

Non-blocking writes would not do. Regular files know none, and O_NONBLOCK on a standard stream belongs to the
open file that other processes share, so setting it would break their writes. So one thread per destination
blocks in the kernel where it must, ``pending`` bytes wait for it up to a limit, and what comes beyond is
dropped and counted.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from proxyd.errors import ConfigError, Place, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 8 * 1024 * 1024  # bytes that may wait, several seconds of lines at full load

PAUSE = 0.05  # seconds for which lines gather, where a writer may let them
HURRY = 1024 * 1024  # pending bytes with which it does not

NONE = -1  # in place of a descriptor
LINE_FEED = 0x0A

_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_REOPEN = (b"", 0)
_CLOSE = (b"", -1)


class LineWriter:
    """Writes whole lines to ``destination``: a path, ``/dev/stdout`` or ``/dev/stderr``.

    ``failed`` is called, from the thread, with the first error of a row of them. Raises ConfigError where the
    destination cannot be opened; ``setting`` names it there. With ``setting`` None it is the thread that opens
    it, when there is something to write, and tries anew each time. The thread starts with the first line, so a
    writer may be made before a fork, but not used. ``follow`` opens the path anew once another file stands there.
    With ``pause``, the thread lets lines gather for so many seconds and writes them together: waking it costs more than
    a line does.
    """

    def __init__(
        self,
        destination: str,
        setting: str | None,
        *,
        limit: int = LIMIT,
        follow: bool = False,
        pause: float = 0.0,
        failed: Callable[[OSError], None] | None = None,
    ) -> None:
        self.destination = destination
        self.pending = 0
        self.written = 0  # lines
        self.dropped = 0  # lines
        self.follow = follow
        self._limit = limit
        self._failed = failed
        self._pause = pause
        self._hurry = threading.Event()
        self._lock = threading.Lock()
        self._queue: SimpleQueue[tuple[bytes, int]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._healthy = True
        self._fd = NONE
        self._is_pipe = False
        self._torn = False  # a line was begun and not ended
        self._is_unseen = False  # nobody has looked how the file ends
        if setting is not None:
            try:
                self._replace()
            except OSError as error:
                reason = f"cannot open {destination}: {error.strerror}"
                raise ConfigError([Problem(Place(setting), "", reason)]) from error

    def __repr__(self) -> str:
        return f"<LineWriter {self.destination} pending={self.pending} dropped={self.dropped}>"

    # --- called from anywhere --------------------------------------------------------------------------------

    def write(self, data: bytes, lines: int) -> None:
        """Write ``lines`` lines, each ended by a line feed; never waits."""
        with self._lock:
            if self._closed or self.pending + len(data) > self._limit:
                self.dropped += lines
                return
            self.pending += len(data)
            if self._thread is None:
                self._start()
            self._queue.put(
                (data, lines)
            )  # here, lest the writer be closed in between and the lines stand behind
        if self.pending > HURRY:
            self._hurry.set()

    def reopen(self) -> None:
        """Open the path anew behind what was written so far; for log rotation. Standard streams stay."""
        with self._lock:
            if self._closed or self.destination in _STREAMS:
                return
            if self._thread is None:
                self._start()
        self._queue.put(_REOPEN)
        self._hurry.set()

    def close(self, timeout: float = 2.0) -> bool:
        """Write what is pending within ``timeout`` seconds; false when that was not possible."""
        with self._lock:
            if self._closed:
                return True
            self._closed = True
            thread = self._thread
        if thread is None:
            self._close_file()
            return True
        self._queue.put(_CLOSE)
        self._hurry.set()
        thread.join(timeout)
        return not thread.is_alive()

    def _start(self) -> None:
        # A daemon: a reader that is stuck for good does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"writer {self.destination}", daemon=True)
        self._thread.start()

    # --- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        mark: tuple[bytes, int] | None = None
        while mark is not _CLOSE:
            data, lines, mark = self._take()
            fine = True
            if data and (self._fd == NONE or (self.follow and self._moved())):
                fine = self._reopen()
            if data:
                fine = self._write(data, lines) and fine
            if mark is _REOPEN:
                fine = self._reopen() and fine
            if fine:
                self._healthy = True
            with self._lock:
                self.pending -= len(data)
        self._close_file()

    def _take(self) -> tuple[bytes, int, tuple[bytes, int] | None]:
        """Wait for lines, and return all that there are up to a mark, how many, and the mark."""
        item = self._queue.get()
        if item is not _CLOSE and item is not _REOPEN and self._pause:
            self._hurry.wait(self._pause)
        self._hurry.clear()
        pieces, lines = [], 0
        while item is not _CLOSE and item is not _REOPEN:
            pieces.append(item[0])
            lines += item[1]
            if self._queue.empty():
                return b"".join(pieces), lines, None
            item = self._queue.get()
        return b"".join(pieces), lines, item

    def _reopen(self) -> bool:
        try:
            self._replace()
        except OSError as error:
            self._tell(error)
            return False
        return True

    def _replace(self) -> None:
        fresh = _open(self.destination)
        self._close_file()
        self._fd = fresh
        self._torn = False
        mode = os.fstat(fresh).st_mode
        self._is_pipe = stat.S_ISFIFO(mode)
        self._is_unseen = stat.S_ISREG(mode) and self.destination not in _STREAMS

    def _close_file(self) -> None:
        if self._fd != NONE:
            os.close(self._fd)
            self._fd = NONE

    def _moved(self) -> bool:
        """Whether the path leads to another file than the one that is open, or to none."""
        if self.destination in _STREAMS:
            return False
        try:
            there = Path(self.destination).stat()
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(self._fd))

    def _write(self, data: bytes, lines: int) -> bool:
        """Write lines, or count those that could not be and return false."""
        if self._fd == NONE:
            self._lost(lines)
            return False
        done = 0
        if (
            self._is_unseen
        ):  # not where it is opened: of several processes, the first one to write ends the line
            self._is_unseen = False
            self._torn = _is_torn(self.destination)
        try:
            if self._torn:  # what stands there is a line of its own, if not a whole one
                os.write(self._fd, b"\n")
                self._torn = False
            for piece in _atomic_pieces(data) if self._is_pipe else (data,):
                left = memoryview(piece)
                while left:
                    written = os.write(self._fd, left)
                    left = left[written:]
                    done += written
        except OSError as error:
            self._torn = self._torn or (done > 0 and data[done - 1] != LINE_FEED)
            lost = data.count(b"\n", done)
            self.written += lines - lost
            self._lost(lost)
            self._tell(error)
            return False
        self.written += lines
        return True

    def _lost(self, lines: int) -> None:
        with self._lock:
            self.dropped += lines

    def _tell(self, error: OSError) -> None:
        if self._healthy and self._failed is not None:
            self._failed(error)
        self._healthy = False


def _open(destination: str) -> int:
    if destination in _STREAMS:
        # Not through /dev: that fails where the stream is a socket, as under systemd.
        return os.dup(_STREAMS[destination])
    # Without O_NONBLOCK, opening a pipe that nobody reads would wait for a reader.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(destination, flags, 0o640)
    os.set_blocking(descriptor, True)
    return descriptor


def _is_torn(path: str) -> bool:
    """Whether a file ends within a line: whoever wrote it was killed, or its disk was full."""
    try:
        with Path(path).open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # it may be written, and not read
        return False


def _atomic_pieces(data: bytes) -> Iterator[bytes]:
    """Cut at line ends so that each piece is written whole even where processes share the pipe (pipe(7))."""
    start = 0
    while len(data) - start > select.PIPE_BUF:
        end = data.rfind(b"\n", start, start + select.PIPE_BUF) + 1
        if end == 0:
            end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end
    yield data[start:]
