"""Heads to bytes."""

from __future__ import annotations

from http import HTTPStatus

REASONS: dict[int, bytes] = {status.value: status.phrase.encode() for status in HTTPStatus}
STATUS_LINES: dict[int, bytes] = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in REASONS.items()
}


def status_line(status: int, reason: bytes = b"") -> bytes:
    """Return a status line; the phrase is the registered one unless another is given."""
    if not reason or reason == REASONS.get(status):
        return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)
