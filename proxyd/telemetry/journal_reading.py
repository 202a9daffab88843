"""What a journal holds, read by another process while it is written to, or when its writer is gone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from proxyd.telemetry.journal import (
    AREA,
    HEADER,
    METHODS,
    NAME,
    NUMBER,
    NUMBER_AT,
    OF_METER_NAME,
    OF_REQUEST,
    OF_TALLY,
    OF_TALLY_NAME,
    OF_UNUSUAL,
    REQUEST,
    ROOM,
    STRIDE,
    TEXT_AT,
    TRIES,
    TURN_AT,
    UNUSUAL,
    page_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 512  # records read at once
ATTEMPTS = 8  # to read a document that is being written


class Document(NamedTuple):
    """What stands in an area: the turn in which it was written, the last record that it contains, and the text."""

    turn: int = 0
    last: int = 0
    text: bytes = b""


class Record(NamedTuple):
    """One thing that was counted: ``values`` are as the layout of its kind has them, between what and number."""

    number: int
    kind: int
    mark: int
    detail: int  # method and status, or what stands in their place
    values: tuple[float | bytes, ...]

    @property
    def method(self) -> str:
        """The method of a request."""
        return METHODS[self.detail >> 16]

    @property
    def status(self) -> int:
        """The status of a request."""
        return self.detail & TRIES


_LAYOUTS = {
    OF_REQUEST: REQUEST,
    OF_UNUSUAL: UNUSUAL,
    OF_TALLY: REQUEST,
    OF_METER_NAME: NAME,
    OF_TALLY_NAME: NAME,
}


def turn_of(fd: int, area: int) -> int:
    """Return how often an area has been written."""
    number: int = NUMBER.unpack(os.pread(fd, NUMBER.size, TURN_AT + area * NUMBER.size))[0]
    return number


def read_area(fd: int, area: int) -> Document:
    """Return the document of an area; an empty one where there is none yet."""
    for _ in range(ATTEMPTS):
        turn = turn_of(fd, area)
        if not turn:
            break
        at = page_at(area, turn)
        written, last, length = AREA.unpack(os.pread(fd, AREA.size, at))
        if written != turn:
            continue
        text = _read(fd, length, at + TEXT_AT)
        if AREA.unpack(os.pread(fd, AREA.size, at))[0] == turn:
            return Document(turn, last, text)
    return Document()


def _read(fd: int, length: int, at: int) -> bytes:
    text = b""
    while len(text) < length:
        more = os.pread(fd, length - len(text), at + len(text))
        if not more:
            break
        text += more
    return text


def read_records(fd: int, last: int) -> Iterator[Record]:
    """Yield the records behind the number ``last``, in their order, as far as there are any."""
    while True:
        place = (last + 1) % ROOM
        count = min(BATCH, ROOM - place)
        at = HEADER + place * STRIDE
        numbers = os.pread(fd, count * STRIDE, at)
        # Read again: a record whose number was there before its values were read is whole.
        values = os.pread(fd, count * STRIDE, at)
        for one in range(count):
            number = last + 1
            at = one * STRIDE
            if any(NUMBER.unpack_from(text, at + NUMBER_AT)[0] != number for text in (numbers, values)):
                return
            yield _decode(values, at, number)
            last = number


def _decode(text: bytes, at: int, number: int) -> Record:
    what = NUMBER.unpack_from(text, at)[0]
    kind = what >> 20 & 15
    layout = _LAYOUTS.get(kind, REQUEST)
    return Record(number, kind, what >> 24 << 24, what & 0xFFFFF, layout.unpack_from(text, at)[1:-1])
