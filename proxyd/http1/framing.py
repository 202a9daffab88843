"""Where a body ends: decoders that take bytes as they come and give payload back, and the chunk encoder.

A decoder's ``feed`` returns ``(payload, rest)``: the payload found in the bytes, and what stands behind the
end of the message, which is empty until ``done``. Payloads of several chunks are joined, so that what was cut
small is forwarded whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxyd.errors import ProtocolError
from proxyd.http1.message import BODILESS, CHUNKED, UNTIL_CLOSE

if TYPE_CHECKING:
    from proxyd.http1.headers import Headers

MAX_CHUNK_LINE: Final = 1024  # bytes of a chunk-size line; extensions have no use that needs more
MAX_EXTENSIONS: Final = (
    16 * 1024
)  # bytes of chunk-size lines per megabyte of payload, against extension floods
MAX_TRAILERS: Final = 8 * 1024  # bytes of a trailer section; one header buffer of nginx

# RFC 9112 section 7.1: chunk-size [ chunk-ext ] CRLF. Extensions are read over, never forwarded.
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*+;[\t\x20-\x7e\x80-\xff]*+)?\r\n")
FIELD_LINE: Final = re.compile(
    rb"^(([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[\t\x20-\x7e\x80-\xff]*+\r\n)", re.MULTILINE
)

# RFC 9110 section 6.5.1: what must not be taken from a trailer section, where it would overtake a decision that
# the header section has brought about: framing, routing, identity, conditions, and how the content is read.
_NOT_IN_TRAILERS: Final = re.compile(
    rb"age|authorization|cache-control|connection|content-(?:encoding|length|range|type)|cookie2?|date|expect"
    rb"|expires|forwarded|host|http2-settings|if-.*|keep-alive|location|max-forwards|pragma|proxy.*|range"
    rb"|retry-after|sec-.*|set-cookie2?|te|trailer|transfer-encoding|upgrade|vary|via|warning|www-authenticate"
    rb"|x-(?:anonymous|authenticated|client-cert|consumer|credential|forwarded|kong|real)-.*"
)


def is_trailer(name: bytes) -> bool:
    """Whether a field, its name in lower case, may come in a trailer section; ``_`` is ``-`` to CGI and WSGI."""
    return _NOT_IN_TRAILERS.fullmatch(name.replace(b"_", b"-")) is None


class LengthDecoder:
    """A body of a known number of bytes."""

    __slots__ = ("done", "left", "trailers")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = not length
        self.trailers = b""

    def __repr__(self) -> str:
        return f"<LengthDecoder left={self.left}>"

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take up to the announced length; what is beyond comes back as the rest."""
        left = self.left - len(data)
        if left > 0:
            self.left = left
            return data, b""
        self.done = True
        end = self.left
        self.left = 0
        return (data, b"") if not left else (data[:end], data[end:])

    def finish(self) -> bool:
        """Whether the end of the stream here is the end of the body."""
        return self.done


class UntilCloseDecoder:
    """A body that ends with the connection; answers only (RFC 9112 section 6.3, rule 8)."""

    __slots__ = ("done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers = b""

    def __repr__(self) -> str:
        return "<UntilCloseDecoder>"

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take everything."""
        return data, b""

    def finish(self) -> bool:
        """Whether the end of the stream here is the end of the body: it is."""
        self.done = True
        return True


_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)


class ChunkedDecoder:
    """A chunked body (RFC 9112 section 7.1); ``trailers`` are the lines that may be forwarded."""

    __slots__ = ("_extensions", "_left", "_partial", "_state", "done", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers = b""
        self._state = _SIZE
        self._left = 0
        self._partial = b""
        self._extensions = MAX_EXTENSIONS

    def __repr__(self) -> str:
        return f"<ChunkedDecoder {('size', 'data', 'data-end', 'trailers')[self._state]} left={self._left}>"

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take chunks apart; raises ProtocolError for anything that is not strictly a chunk."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
        payload: list[bytes] = []
        position = 0
        while position < len(data):
            before = position
            if self._state == _DATA:
                piece = data[position : position + self._left]
                payload.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                position = self._data_end(data, position)
            elif self._state == _SIZE:
                position = self._size(data, position)
            else:
                position = self._trailer_section(data, position)
                if self.done:
                    return b"".join(payload), data[position:]
            if position == before:
                self._partial = data[position:]
                break
        return (payload[0] if len(payload) == 1 else b"".join(payload)), b""

    def finish(self) -> bool:
        """Whether the end of the stream here is the end of the body."""
        return self.done

    def _data_end(self, data: bytes, position: int) -> int:
        end = data[position : position + 2]
        if end == b"\r\n":
            self._state = _SIZE
            return position + 2
        if end != b"\r":
            raise ProtocolError("chunk is longer than its size")
        return position

    def _size(self, data: bytes, position: int) -> int:
        match = _CHUNK_LINE.match(data, position)
        if match is None:
            line = data[position : position + MAX_CHUNK_LINE + 1]
            if b"\n" in line or len(line) > MAX_CHUNK_LINE or not _may_become_chunk_line(line):
                raise ProtocolError("malformed chunk size")
            return position
        self._left = size = int(match[1], 16)
        self._extensions += min(size, 1 << 20) * MAX_EXTENSIONS >> 20
        self._extensions = min(self._extensions, MAX_EXTENSIONS) - (match.end() - match.end(1) - 2)
        if match.end() - position > MAX_CHUNK_LINE or self._extensions < 0:
            raise ProtocolError("chunk extensions too long")
        self._state = _DATA if size else _TRAILERS
        return match.end()

    def _trailer_section(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            self.done = True
            return position + 2
        end = data.find(b"\r\n\r\n", position)
        if end < 0:
            if len(data) - position > MAX_TRAILERS + 1:  # half of the empty line may have come
                raise ProtocolError("trailer section too large", 431)
            return position
        section = data[position : end + 2]
        if len(section) > MAX_TRAILERS:
            raise ProtocolError("trailer section too large", 431)
        fields = FIELD_LINE.findall(section)
        if len(fields) != section.count(b"\n"):
            raise ProtocolError("malformed trailer section")
        self.trailers = b"".join(line for line, name in fields if is_trailer(name.lower()))
        self.done = True
        return end + 4


_PARTIAL_CHUNK_LINE: Final = re.compile(rb"[0-9A-Fa-f]{0,15}(?:\r|[ \t]*+(?:;[\t\x20-\x7e\x80-\xff]*+\r?)?)")


def _may_become_chunk_line(line: bytes) -> bool:
    return _PARTIAL_CHUNK_LINE.fullmatch(line) is not None


Decoder = LengthDecoder | ChunkedDecoder | UntilCloseDecoder


def decoder(framing: int) -> Decoder:
    """Make the decoder of a head's ``framing``."""
    if framing >= 0:
        return LengthDecoder(framing)
    return UntilCloseDecoder() if framing == UNTIL_CLOSE else ChunkedDecoder()


_CONTENT_LENGTH: Final = re.compile(rb"[0-9]{1,18}")


def request_framing(headers: Headers, minor: int) -> int:
    """Decide how a request's body is delimited (RFC 9112 section 6.3); raises ProtocolError when in doubt."""
    lines = headers.lines
    if b"transfer-encoding" in lines:
        return _chunked(headers, minor)
    if b"content-length" in lines:
        return _length(headers)
    return 0


def response_framing(headers: Headers, minor: int, status: int, method: str) -> int:
    """Decide how an answer's body is delimited (RFC 9112 section 6.3); raises ProtocolError when in doubt."""
    lines = headers.lines
    if b"transfer-encoding" in lines:
        framing = _chunked(headers, minor)
    elif b"content-length" in lines:
        framing = _length(headers)
    else:
        framing = UNTIL_CLOSE
    if method == "HEAD" or status in BODILESS or status < 200:  # noqa: PLR2004  # final answers begin there
        return 0
    return framing


def _chunked(headers: Headers, minor: int) -> int:
    # RFC 9112 section 6.1: no Content-Length beside it, none of it before HTTP/1.1. The only coding is chunked,
    # once: others are either not last, which leaves the end open, or would have to be undone here.
    if b"content-length" in headers.lines:
        raise ProtocolError("Content-Length beside Transfer-Encoding")
    if not minor:
        raise ProtocolError("Transfer-Encoding before HTTP/1.1")
    if (headers.get(b"transfer-encoding") or b"").lower() != b"chunked":
        codings = headers.tokens(b"transfer-encoding")
        undoable = len(codings) > 1 and codings.count(b"chunked") == 1 and codings[-1] == b"chunked"
        raise ProtocolError("unsupported transfer coding", 501 if undoable else 400)
    return CHUNKED


def _length(headers: Headers) -> int:
    value = headers.get(b"content-length") or b""
    if _CONTENT_LENGTH.fullmatch(value) is None:
        raise ProtocolError("malformed Content-Length")
    length = int(value)
    if value[:1] == b"0" and len(value) > 1:  # legal, and octal to some
        headers.set(b"Content-Length", b"%d" % length)
    return length


def chunk(data: bytes) -> bytes:
    """Encode a non-empty piece as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes = b"") -> bytes:
    """Encode the end of a chunked body."""
    return b"0\r\n%b\r\n" % trailers
