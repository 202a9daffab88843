"""Answers that come in parts, each a response of its own, read as they come: ``multipart/mixed``; events are ``sse``'s.

What is passed on of a part is passed on when it is complete; bytes that belong to no part go through as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import orjson

from proxyd.errors import GatewayError, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[bytes], bytes]

_LENGTH = re.compile(rb"(?im)^content-length[ \t]*:[^\r\n]*\r?\n")
_ENCODED = re.compile(rb"(?im)^content-(?:transfer-)?encoding[ \t]*:[ \t]*(?!identity|binary|8bit|7bit)")
_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r(?!\n)")


class Parts(Protocol):
    """One answer in parts."""

    def feed(self, data: bytes, last: bool) -> bytes:
        """Return what may go out once a piece has come; raises GatewayError for a part that is too large."""


class Multipart:
    """``multipart/mixed`` (RFC 2046 section 5.1); ``change`` returns what takes the place of a part's body."""

    __slots__ = ("_buffer", "_change", "_delimiter", "_inside", "_max_size")

    def __init__(self, boundary: bytes, change: Change, max_size: int) -> None:
        self._delimiter = b"--" + boundary
        self._change = change
        self._max_size = max_size
        self._buffer = b""
        self._inside = False  # behind a delimiter, whose part has not gone out

    def feed(self, data: bytes, last: bool) -> bytes:
        """Take a piece."""
        buffer = self._buffer + data
        out: list[bytes] = []
        while True:
            end = self._next(buffer)
            if end < 0:
                break
            out += (self._part(buffer[:end]), self._delimiter)
            buffer = buffer[end + len(self._delimiter) :]
            self._inside = True
        if self._inside and buffer.startswith(b"--"):  # the last delimiter; what follows is no part
            self._inside = False
            out.append(b"--\r\n")
            buffer = b""
        elif self._inside and self._is_whole(buffer):  # the delimiter behind it may come with the next part
            out.append(self._part(buffer))
            self._inside = False
            buffer = b""
        if len(buffer) > self._max_size:
            raise GatewayError(Kind.BAD_RESPONSE, "a part of the answer is too large to be looked at")
        if last:
            out.append(self._part(buffer))
            buffer = b""
        self._buffer = buffer
        return b"".join(out)

    def _next(self, buffer: bytes) -> int:
        """Return where the next delimiter begins: at the beginning of a line."""
        at = buffer.find(self._delimiter)
        while at > 0 and buffer[at - 1] != ord("\n"):
            at = buffer.find(self._delimiter, at + 1)
        return at

    def _part(self, text: bytes) -> bytes:
        """Return what goes out for what stands between two delimiters."""
        if not self._inside:
            return b""  # a preamble, which nobody is to read, or the end of a line
        found = _BLANK.search(text)
        if found is None:
            return b"\r\n\r\n"
        head, body = text[: found.end()], text[found.end() :]
        whole = body.rstrip(b"\r\n")
        if _ENCODED.search(head):
            raise GatewayError(Kind.BAD_RESPONSE, "a part of the answer is encoded, and cannot be looked at")
        changed = self._change(whole) if whole else whole
        if changed != whole:
            head = _LENGTH.sub(b"", head)
        return head + changed + b"\r\n"

    def _is_whole(self, buffer: bytes) -> bool:
        found = _BLANK.search(buffer)
        if found is None or not buffer.rstrip().endswith(b"}"):
            return False
        try:
            orjson.loads(buffer[found.end() :])
        except orjson.JSONDecodeError:
            return False
        return True
