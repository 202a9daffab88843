"""The Date of answers, formatted once a second."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class HttpDate:
    """Calling it gives the current time as an HTTP date (RFC 9110 section 5.6.7), in bytes."""

    __slots__ = ("_second", "_text", "_time")

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._second = -1
        self._text = b""

    def __repr__(self) -> str:
        return f"<HttpDate {self().decode()}>"

    def __call__(self) -> bytes:
        """Return the current date."""
        second = int(self._time())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True).encode()
        return self._text
