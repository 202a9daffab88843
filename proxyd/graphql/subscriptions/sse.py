"""Server-sent events, read and written (WHATWG HTML, section 9.2): no I/O, any split of the bytes gives the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from proxyd.errors import GatewayError, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

MEDIA_TYPE = b"text/event-stream"
COMMENT = b":\n\n"  # what keeps a connection alive, and wakes clients that wait for a first byte
COMPLETE = (
    b"event: complete\ndata:\n\n"  # the data, though empty: without, a browser tells nobody of the event
)
MAX_EVENT = 8_388_608  # bytes of an event's lines

MAX_KEPT = 65_536  # bytes of an event that is kept for the next client

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """An event; ``data`` is None where it has no such line, in which case browsers leave it out."""

    type: bytes
    data: bytes | None


class Lines:
    """Cuts a stream into lines, which end in CR, LF or both; a line that is not complete is kept."""

    __slots__ = ("_first", "_kept", "_skip")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._first = True
        self._skip = False  # a LF at the beginning belongs to the CR before it

    def __repr__(self) -> str:
        return f"<Lines {self.size} kept>"

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without their ends; a byte order mark is left out."""
        if self._skip and data:
            self._skip = False
            if data[:1] == b"\n":
                data = data[1:]
        if b"\r" in data:
            self._skip = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        if len(lines) > 1 and self._kept:
            lines[0] = bytes(self._kept) + lines[0]
            self._kept.clear()
        self._kept += lines.pop()
        if lines and self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines


class EventReader:
    """Reads events; what is no event (comments, times to retry, ids) is left out.

    Raises GatewayError for one that is longer than ``limit``.
    """

    __slots__ = ("_data", "_limit", "_lines", "_size", "_type")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._lines = Lines()
        self._type = b""
        self._data = bytearray()  # its lines, each with an end
        self._size = 0  # of the lines of the event so far

    def __repr__(self) -> str:
        return f"<EventReader {self._size + self._lines.size}/{self._limit}>"

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete now."""
        events: list[Event] = []
        for line in self._lines.feed(data):
            if not line:
                if self._type or self._data:
                    events.append(
                        Event(self._type or b"message", bytes(self._data[:-1]) if self._data else None)
                    )
                    self._data.clear()
                    self._type = b""
                self._size = 0
                continue
            name, value = field(line)
            if name == b"data":
                self._data += value + b"\n"
            elif name == b"event":
                self._type = value
            else:
                continue
            self._size += len(line) + 1
            if self._size > self._limit:
                raise _too_long()
        if self._size + self._lines.size > self._limit:
            raise _too_long()
        return events


def _too_long() -> GatewayError:
    return GatewayError(Kind.BAD_RESPONSE, "an event of the answer is too long")


def field(line: bytes) -> tuple[bytes, bytes]:
    """Return the name and the value of a line; a comment has no name."""
    name, _, value = line.partition(b":")
    return name, value.removeprefix(b" ")


class EventFilter:
    """Passes a stream of events on with each one's data changed, and all else as it came; ``feed`` is a body filter.

    ``change`` is called with the type and the data of an event and returns its data. Comments between events pass at
    once; an event goes out when it is complete, and one that is not when the stream ends never does, as no client
    would take it.
    """

    __slots__ = ("_block", "_change", "_data", "_limit", "_lines", "_size", "_type")

    def __init__(self, change: Callable[[bytes, bytes], bytes], limit: int = MAX_EVENT) -> None:
        self._change = change
        self._limit = limit
        self._lines = Lines()
        self._block: list[bytes] = []  # lines of the event so far, but for its data
        self._data = bytearray()  # its lines, each with an end
        self._type = b"message"
        self._size = 0

    def __repr__(self) -> str:
        return f"<EventFilter {self._size + self._lines.size}/{self._limit}>"

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return what goes out for a piece; raises GatewayError for an event that is longer than the limit."""
        del last
        out: list[bytes] = []
        for line in self._lines.feed(data):
            if not line:
                self._end(out)
                continue
            name, value = field(line)
            if name == b"data":
                self._data += value + b"\n"
            elif not name and not self._size:
                out.append(line + b"\n")
                continue
            else:
                self._block.append(line)
                if name == b"event":
                    self._type = value or b"message"
            self._size += len(line) + 1
            if self._size > self._limit:
                raise _too_long()
        if self._size + self._lines.size > self._limit:
            raise _too_long()
        return b"".join(out)

    def _end(self, out: list[bytes]) -> None:
        out += [line + b"\n" for line in self._block]
        if self._data:
            out.append(data_lines(self._change(self._type, bytes(self._data[:-1]))))
        out.append(b"\n")
        self._block.clear()
        self._data.clear()
        self._type = b"message"
        self._size = 0


def data_lines(data: bytes) -> bytes:
    """Return the lines that carry some data, whatever line ends it holds."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\n" in data:
        data = data.replace(b"\n", b"\ndata: ")
    return b"data: %b\n" % data if data else b"data:\n"


class Once:
    """Encodes what goes to many clients once: as long as it is the very same, the last outcome is returned."""

    __slots__ = ("_encode", "_encoded", "_payload")

    def __init__(self, encode: Callable[[bytes], bytes]) -> None:
        self._encode = encode
        self._payload = self._encoded = b""

    def __repr__(self) -> str:
        return f"<Once {len(self._payload)} bytes>"

    def __call__(self, payload: bytes) -> bytes:
        """Encode a payload; a large one is not kept."""
        if payload is self._payload:
            return self._encoded
        encoded = self._encode(payload)
        if len(encoded) <= MAX_KEPT:
            self._payload, self._encoded = payload, encoded
        return encoded


def next_event(payload: bytes) -> bytes:
    """Return the event of a result, in the mode of distinct connections."""
    return b"event: next\n%b\n" % data_lines(payload)


def labelled_next(label: bytes, payload: bytes) -> bytes:
    """Return the event of a result of the operation whose id, as JSON, is ``label`` (single connection mode)."""
    return b"event: next\n%b\n" % data_lines(b'{"id":%b,"payload":%b}' % (label, payload))


def labelled_complete(label: bytes) -> bytes:
    """Return the event of the end of such an operation."""
    return b'event: complete\ndata: {"id":%b}\n\n' % label
