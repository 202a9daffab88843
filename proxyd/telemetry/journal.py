"""Finished requests, written down in memory that outlives the process: so a worker that is killed forgets none.

A worker's figures stand in its own memory, where counting is cheapest. Its master gives it a file without a name besides,
which stays when the worker is gone. In it are

- a ring of records, one for each thing counted, written in the moment in which it is counted;
- two areas, each a document that the worker writes anew from time to time: its FIGURES, and what is LIVE.

Figures and the records behind them are all that the worker knew. Records that the figures contain may be written over.
The counting side is ``Journal``; what the master reads with is ``journal_reading``.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM = 1 << 14  # records in the ring: half of it is worth more than a second of a busy worker's requests
STRIDE = 64  # bytes from one record to the next
HEADER = 4096  # bytes before the ring
END = HEADER + ROOM * STRIDE

# Every record says in its first eight bytes what it is of, and in its last its number, which is written last: a record
# that a kill cut short does not have the number that is expected there.
# What: number of the meter or tally << 24 | kind << 20 | method << 16 | status.
REQUEST = struct.Struct("<QdddQQQ")  # what, whole, upstream, own, bytes received, bytes sent, number
# With flags and further tries in place of method and status: what, seconds to connect, failure, number.
UNUSUAL = struct.Struct("<Qd32sQ")
# With the pieces to come in place of method and status: what, a piece, number.
NAME = struct.Struct("<Q40sQ")
NUMBER = struct.Struct("<Q")
NUMBER_AT = REQUEST.size - NUMBER.size

KINDS = OF_REQUEST, OF_UNUSUAL, OF_TALLY, OF_METER_NAME, OF_TALLY_NAME = range(5)
METHODS = ("_OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
ABORTED, MADE_GOOD = 1 << 19, 1 << 18  # flags of OF_UNUSUAL, above the number of further tries
TRIES = (1 << 16) - 1
OWN = 1 << 16  # flag of OF_TALLY: the answer was the gateway's

AREAS = FIGURES, LIVE = range(2)
AREA = struct.Struct("<QQQ")  # at the beginning of a page: turn, number of the last record contained, length
TEXT_AT = 64

_METHOD = {name: number << 16 for number, name in enumerate(METHODS)}
TURN_AT = 64  # of the header: one number per area, which says the page that counts


def page_at(area: int, turn: int) -> int:
    """Return where the page of an area begins that is written in this turn. What is between pages takes no memory."""
    return (1 << 32) * (1 + 2 * area + turn % 2)


def make_file() -> int:
    """Return the descriptor of a new file for the figures of one process; raises OSError.

    It has its full length at once: where files may not be so long (RLIMIT_FSIZE), that is told now and not in a request.
    """
    fd = os.memfd_create("proxyd-figures", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, page_at(len(AREAS), 0))
    except OSError:
        os.close(fd)
        raise
    return fd


class Journal:
    """Where a process writes down what it counts. ``fd`` is of a file that ``make_file`` has made, and nobody's yet.

    ``count`` is the number of the last record. ``full`` is called when half of the ring holds records that no figures
    contain yet, and again with true when there is no room at all: then ``store`` has to be called before it returns.
    """

    __slots__ = ("_due", "_fd", "_kept", "_map", "_numbers", "_turns", "count", "full")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, END)
        self._numbers = 0
        self._turns = [0, 0]
        self._kept = 0
        self._due = ROOM // 2
        self.count = 0
        self.full: Callable[[bool], None] = lambda _now: None

    def __repr__(self) -> str:
        return f"<Journal count={self.count} kept={self._kept}>"

    # --- counting --------------------------------------------------------------------------------------------

    def request(
        self,
        mark: int,
        method: str,
        status: int,
        whole: float,
        upstream: float,
        own: float,
        received: int,
        sent: int,
    ) -> None:
        """Write down a request that its meter has counted. ``mark`` is what ``name`` has returned for the meter."""
        count = self.count + 1
        REQUEST.pack_into(
            self._map,
            HEADER + count % ROOM * STRIDE,
            mark | _METHOD.get(method, 0) | status,
            whole,
            upstream,
            own,
            received,
            sent,
            count,
        )
        self.count = count
        if count >= self._due:
            self._make_room()

    def unusual(
        self,
        mark: int,
        flags: int,
        further_tries: int,
        connect: float | None,
        failure: tuple[str, str] | None,
    ) -> None:
        """Write down what few requests have: a connection made, failed tries, a failure, an answer cut short."""
        what = mark | OF_UNUSUAL << 20 | flags | min(further_tries, TRIES)
        text = "/".join(failure).encode() if failure is not None else b""
        self._put(UNUSUAL, what, -1.0 if connect is None else connect, text)

    def tally(self, mark: int, status: int, received: int, sent: int) -> None:
        """Write down what a tally has counted; the status is negative for an answer of the gateway's own."""
        what = mark | OF_TALLY << 20 | (OWN - status if status < 0 else status)
        self._put(REQUEST, what, 0.0, 0.0, 0.0, received, sent)

    def name(self, kind: int, *names: str) -> int:
        """Write down whose numbers are to come; returns the mark that they come with."""
        self._numbers += 1
        mark = self._numbers << 24
        text = orjson.dumps(names)
        size = NAME.size - 2 * NUMBER.size
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        if self.count + len(pieces) - self._kept >= ROOM - 1:
            self.full(True)  # so that nothing is stored between two pieces
        for rest, piece in zip(reversed(range(len(pieces))), pieces, strict=True):
            self._put(NAME, mark | kind << 20 | min(rest, TRIES), piece)
        return mark

    def _put(self, layout: struct.Struct, *values: float | bytes) -> None:
        count = self.count + 1
        at = HEADER + count % ROOM * STRIDE
        layout.pack_into(self._map, at, *values, 0)
        NUMBER.pack_into(self._map, at + NUMBER_AT, count)
        self.count = count
        if count >= self._due:
            self._make_room()

    def _make_room(self) -> None:
        none_left = self.count - self._kept >= ROOM - 1
        self._due = self.count + 1 if none_left else self._kept + ROOM - 1
        self.full(none_left)

    # --- documents -------------------------------------------------------------------------------------------

    def store(self, area: int, text: bytes, last: int = 0) -> None:
        """Put a document into an area, in place of the one before, in one step for whoever reads it.

        Figures contain every record up to the number ``last``, and say of each row which it contains behind that.
        """
        turn = self._turns[area] + 1
        at = page_at(area, turn)
        os.pwrite(self._fd, AREA.pack(0, 0, 0), at)
        written = 0
        while written < len(text):
            written += os.pwrite(self._fd, text[written:], at + TEXT_AT + written)
        os.pwrite(self._fd, AREA.pack(turn, last, len(text)), at)
        NUMBER.pack_into(self._map, TURN_AT + area * NUMBER.size, turn)
        self._turns[area] = turn
        if area == FIGURES:
            self._kept = last
            self._due = last + ROOM // 2

    def close(self) -> None:
        """Store no more; what a straggler counts is still written down, as long as somebody holds the journal."""
        self.full = lambda _now: None
        os.close(self._fd)
