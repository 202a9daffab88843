"""A connection that has become a WebSocket: bytes pass both ways, and a close frame can be put between two frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.http1.websocket import GOING_AWAY, Frames, close_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.carrier import Pipe


class Tunnel:
    """What a client's connection leads to.

    ``leaving`` tells that both ends have been told to go, ``ended`` that the upstream sends no more.
    """

    __slots__ = ("_inward", "_outward", "ended", "leaving", "other")

    def __init__(self, other: Pipe) -> None:
        self.other = other
        self.leaving = False
        self.ended = False
        self._inward = Frames()
        self._outward = Frames()

    def __repr__(self) -> str:
        return f"<Tunnel {'leaving' if self.leaving else 'open'} in={self._inward!r} out={self._outward!r}>"

    def from_client(self, data: bytes) -> bool:
        """Pass the client's bytes on; false when nothing more is expected of it."""
        self._inward.feed(data)
        if self.leaving:
            return not self._inward.closed  # its answer to our close frame
        self.other.write(data)
        return True

    def to_client(self, data: bytes) -> bool:
        """Tell whether the client may be sent this; behind a close frame of ours, nothing is."""
        if self.leaving:
            return False
        self._outward.feed(data)
        return True

    def go_away(self, write: Callable[[bytes], None]) -> None:
        """Send both ends a close frame, the client first: ``other`` may close the connection on its own.

        An end that is in the middle of a frame, was sent a close frame before, or was told that no more comes, gets
        none: it sees the connection close.
        """
        self.leaving = True
        if self._outward.between and not self._outward.closed and not self.ended:
            write(close_frame(GOING_AWAY, masked=False))
        if self._inward.between and not self._inward.closed:
            self.other.write(close_frame(GOING_AWAY, masked=True))
