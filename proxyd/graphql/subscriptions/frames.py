"""The frames of a WebSocket that the gateway reads (RFC 6455): bytes to messages, messages to bytes.

wsproto knows the rules of reading. What it is spared is the common case of results, whole frames of text that are not
masked, and writing, which has no rules to speak of. Compression is agreed on with nobody: an inflater is memory that a
client or a backend has us hold, and what a short message may become is theirs to choose.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed, XorMaskerSimple

from proxyd.http1.websocket import Frames as Borders

if TYPE_CHECKING:
    from collections.abc import Iterator

NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
UNSUPPORTED = 1003
NO_STATUS = 1005  # stands for a close frame without a code, and is never sent
NO_TEXT = 1007
POLICY = 1008
TOO_BIG = 1009
TRY_AGAIN = 1013

MAX_REASON = 123  # bytes beside the code in a close frame
BURST = 2.0  # seconds' worth of frames that may come at once

_TEXT, _MASKED, _LONG = 0x81, 0x80, 126


class Broken(Exception):  # noqa: N818  # the other end is at fault, nothing broke
    """The other end does not keep to the protocol or to its limits; ``code`` is what to close with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Ping(NamedTuple):
    """A ping, to be answered with ``pong``."""

    payload: bytes


class Pong(NamedTuple):
    """An answer to a ping of ours; that it came is all that counts."""


class Closed(NamedTuple):
    """The other end's close frame; nothing comes behind it."""

    code: int
    reason: str


Event = bytes | Ping | Pong | Closed


class Frames:
    """One WebSocket, both directions: ``masked`` where ours are, which makes us the client.

    ``max_size`` bounds a message, fragments and all; ``rate`` the frames in a second, 0 for as many as come.
    """

    __slots__ = (
        "_allowed",
        "_at",
        "_borders",
        "_clean",
        "_masked",
        "_max_size",
        "_message",
        "_open",
        "_over",
        "_protocol",
        "_rate",
    )

    def __init__(self, max_size: int, *, masked: bool, rate: int = 0) -> None:
        self._protocol = FrameProtocol(masked, [])
        self._borders = Borders()  # where wsproto's frames end
        self._over = False  # what follows is nothing, or cannot be read
        self._open = False  # a message is under way
        self._clean = True  # neither a message nor a frame is
        self._message = bytearray()
        self._max_size = max_size
        self._masked = masked
        self._rate = rate
        self._allowed = rate * BURST
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<Frames {'over' if self._over else 'between' if self._clean else 'within'}>"

    # --- reading ---------------------------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> Iterator[Event]:
        """Take bytes; yields messages of text, and what else there is to know. Raises Broken.

        Who stops iterating before the end has no use for what would follow.
        """
        if self._over:
            return
        if self._rate:
            self._allowed = min(self._allowed + (now - self._at) * self._rate, self._rate * BURST)
            self._at = now
        while data:
            size = self._whole(data)
            if not size:
                yield from self._read(data)
                return
            head = 2 if size < _LONG + 2 else 4
            if size - head > self._max_size:
                raise Broken(TOO_BIG, "Message too big")
            message = data[head:size]
            if not message.isascii():
                _check_text(message)
            yield message
            data = data[size:]

    def _whole(self, data: bytes) -> int:
        """Return the size of the frame that leads the data, if it is a whole message and wsproto need not see it."""
        if not self._clean or not self._masked or data[0] != _TEXT or len(data) < 4:  # noqa: PLR2004
            return 0
        size = data[1] + 2
        if size == _LONG + 2:
            length = (data[2] << 8) | data[3]
            if length < _LONG:
                return 0  # not the shortest way to say it, and wsproto's to refuse
            size = length + 4
        elif size > _LONG + 2:
            return 0
        return size if size <= len(data) else 0

    def _read(self, data: bytes) -> Iterator[Event]:
        protocol = self._protocol
        self._borders.feed(data)
        protocol.receive_bytes(data)
        try:
            for frame in protocol.received_frames():
                payload: Any = frame.payload
                if frame.frame_finished and self._rate:
                    self._allowed -= 1
                    if self._allowed < 0:
                        raise Broken(POLICY, "Too many messages")
                if frame.opcode is Opcode.PING:
                    yield Ping(payload)
                elif frame.opcode is Opcode.PONG:
                    yield Pong()
                elif frame.opcode is Opcode.CLOSE:
                    self._over = True
                    code, reason = payload
                    yield Closed(int(code), reason)
                    return
                elif frame.opcode is Opcode.TEXT:
                    self._open = not frame.message_finished
                    self._add(payload.encode())
                    if not self._open:
                        message = bytes(self._message)
                        self._message.clear()
                        yield message
                else:
                    raise Broken(UNSUPPORTED, "Messages are text")
        except ParseFailed as error:
            self._over = True
            raise Broken(int(error.code), "Malformed frame") from None
        self._clean = self._borders.between and not self._open

    def _add(self, piece: bytes) -> None:
        if len(self._message) + len(piece) > self._max_size:
            raise Broken(TOO_BIG, "Message too big")
        self._message += piece

    # --- writing ---------------------------------------------------------------------------------------------

    def text(self, message: bytes) -> bytes:
        """Return a message as a frame."""
        return self._frame(Opcode.TEXT, message)

    def ping(self) -> bytes:
        """Return a ping."""
        return self._frame(Opcode.PING, b"")

    def pong(self, payload: bytes) -> bytes:
        """Return the answer to a ping."""
        return self._frame(Opcode.PONG, payload)

    def close(self, code: int, reason: str = "") -> bytes:
        """Return a close frame; with NO_STATUS, one that says nothing."""
        if code == NO_STATUS:
            return self._frame(Opcode.CLOSE, b"")
        return self._frame(Opcode.CLOSE, code.to_bytes(2, "big") + shortened(reason))

    def _frame(self, opcode: Opcode, payload: bytes) -> bytes:
        mask = _MASKED if self._masked else 0
        size = len(payload)
        if size < _LONG:
            head = bytes((0x80 | opcode, mask | size))
        elif size < 1 << 16:
            head = bytes((0x80 | opcode, mask | _LONG)) + size.to_bytes(2, "big")
        else:
            head = bytes((0x80 | opcode, mask | _LONG + 1)) + size.to_bytes(8, "big")
        if not mask:
            return head + payload
        key = os.urandom(4)
        return head + key + bytes(XorMaskerSimple(key).process(bytearray(payload)))


def _check_text(message: bytes) -> None:
    try:
        message.decode()
    except UnicodeDecodeError:
        raise Broken(NO_TEXT, "Malformed frame") from None


def shortened(reason: str) -> bytes:
    """Return a reason that fits into a close frame, cut between characters."""
    return reason.encode()[:MAX_REASON].decode("utf-8", "ignore").encode()
