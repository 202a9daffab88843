"""Where the frames of a WebSocket begin and end (RFC 6455 section 5.2), so that one more can be put between them.

What is in them is nobody's business here: a tunnel passes bytes on as they come.
"""

from __future__ import annotations

import os
from typing import Final

GOING_AWAY: Final = 1001  # RFC 6455 section 7.4.1: a server that goes down

_CLOSE: Final = 8  # the opcode
_MASKED: Final = 0x80
_LONG, _LONGER = 126, 127  # lengths that stand for two and eight bytes of length
_MOST: Final = 14  # bytes of a frame's head


class Frames:
    """One direction of a WebSocket. ``closed`` tells that its close frame has passed."""

    __slots__ = ("_head", "_left", "closed")

    def __init__(self) -> None:
        self.closed = False
        self._head = b""  # of the next frame, not complete
        self._left = 0  # bytes until the frame under way ends

    def __repr__(self) -> str:
        state = "closed" if self.closed else "between" if self.between else "within"
        return f"<Frames {state}>"

    @property
    def between(self) -> bool:
        """Whether the last byte that has passed was the last one of a frame."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> None:
        """Let bytes pass."""
        size = len(data)
        if not self._left and not self._head and size > 1 and data[0] & 0x0F != _CLOSE:
            short = data[1] & ~_MASKED
            if short < _LONG and size == short + (6 if data[1] & _MASKED else 2):
                return  # one short frame, as most are
        at = 0
        while at < size:
            if self._left > size - at:
                self._left -= size - at
                return
            at += self._left
            self._left = 0
            if at == size:
                return
            head = self._head + data[at : at + _MOST - len(self._head)]
            length = _length(head)
            if not length:
                self._head = head
                return
            if head[0] & 0x0F == _CLOSE:
                self.closed = True
            at -= len(self._head)
            self._head = b""
            self._left = length


def _length(head: bytes) -> int:
    """Return the length of a frame, head and all; 0 where the bytes do not tell yet."""
    if len(head) < 2:  # noqa: PLR2004  # a byte of flags, a byte of length
        return 0
    more = 4 if head[1] & _MASKED else 0
    short = head[1] & ~_MASKED
    if short < _LONG:
        return 2 + more + short
    width = 2 if short == _LONG else 8
    if len(head) < 2 + width:
        return 0
    return 2 + width + more + int.from_bytes(head[2 : 2 + width], "big")


def close_frame(code: int, *, masked: bool) -> bytes:
    """Return a close frame; towards servers it is masked (RFC 6455 section 5.3)."""
    payload = code.to_bytes(2, "big")
    if not masked:
        return bytes((_MASKED | _CLOSE, len(payload))) + payload
    key = os.urandom(4)
    hidden = bytes(byte ^ key[index] for index, byte in enumerate(payload))
    return bytes((_MASKED | _CLOSE, _MASKED | len(payload))) + key + hidden
