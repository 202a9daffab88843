"""Heads to bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

REASONS: Final[dict[int, bytes]] = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    413: b"Content Too Large",  # RFC 9110's phrases, where Python had older ones before 3.13
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    422: b"Unprocessable Content",
}
STATUS_LINES: Final[dict[int, bytes]] = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in REASONS.items()
}


def status_line(status: int, reason: bytes = b"") -> bytes:
    """Return a status line; the phrase is the registered one unless another is given."""
    if not reason or reason == REASONS.get(status):
        return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)
