"""Bytes fed in every way that a peer may choose to send them, and what must come of it each time."""

from __future__ import annotations

import pytest

from proxyd.errors import ProtocolError

STEPS = 300  # pieces that a long head is fed in; a short one comes byte by byte


def section(*lines):
    """Make a head of its lines."""
    return b"".join(line + b"\r\n" for line in (*lines, b""))


def accepted(parse, data, tail=b""):
    """Return the head of ``data``, which must be the same however it comes, and never come early."""
    head, size = parse(data)
    assert size == len(data)
    for end in _ends(data):
        assert parse(data[:end]) is None, f"a head was found in {data[:end]!r}"
    behind = parse(data + (tail or b"GET /next HTTP/1.1\r\n"))
    assert behind is not None
    assert behind[1] == size
    assert said(behind[0]) == said(head)
    return head


def refused(parse, data):
    """Return the status of the refusal of ``data``, which must be the same however it comes."""
    with pytest.raises(ProtocolError) as whole:
        parse(data)
    status = whole.value.status
    assert _first_refusal(parse, data) == status
    with pytest.raises(ProtocolError) as behind:
        parse(data + b"tail")
    assert behind.value.status == status
    return status


def _first_refusal(parse, data):
    for end in [*_ends(data), len(data)]:
        try:
            assert parse(data[:end]) is None, f"a head was found in {data[:end]!r}"
        except ProtocolError as error:
            return error.status
    return None


def _ends(data):
    return range(1, len(data), max(1, len(data) // STEPS))


def said(head):
    """Return all that a head says, with repeated fields together: RFC 9110 section 5.3 lets them move so."""
    rest = {name: getattr(head, name) for name in head.__slots__ if name != "headers"}
    return {**rest, "headers": b"".join(head.headers.copy().lines.values())}
