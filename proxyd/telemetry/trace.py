"""Identifiers that tie a request's records together: the request id and the W3C trace context.

The gateway records no spans of its own. It keeps the trace of whoever started one, gives each request sent
upstream a parent id of its own, and starts a trace where there is none, so that every access line has a trace
id. Identifiers are unique, not secret: they come from the process's pseudo-random generator, which is seeded
by the operating system and seeded anew in a forked child.
"""

from __future__ import annotations

from random import getrandbits
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxyd.http1.headers import Headers

_LENGTH = 55  # of version 00: 2 + 32 + 16 + 2 hexadecimal digits and three dashes
_DASH = 0x2D
# Each lower-case hexadecimal digit becomes x, each dash stays, and anything else becomes something else.
_SHAPE_OF = bytes(
    0x78 if byte in b"0123456789abcdef" else byte if byte == _DASH else 0 for byte in range(256)
)
_SHAPE = b"-".join((b"x" * 2, b"x" * 32, b"x" * 16, b"x" * 2))
_NO_TRACE = b"0" * 32
_NO_PARENT = b"0" * 16
_SAMPLED_DIGITS = frozenset(b"13579bdf")  # the lowest bit of the flags is "sampled"


def new_request_id() -> str:
    """Return 32 hexadecimal digits."""
    return getrandbits(128).to_bytes(16, "big").hex()


def is_valid(value: bytes) -> bool:
    """Whether a ``traceparent`` is one that can be continued (W3C Trace Context, section 3.2.2).

    Versions above 00 may be longer, ff is forbidden, and neither id may be all zeros.
    """
    if len(value) != _LENGTH:
        if len(value) < _LENGTH or value[:2] == b"00" or value[_LENGTH] != _DASH:
            return False
        value = value[:_LENGTH]
    return (
        value.translate(_SHAPE_OF) == _SHAPE
        and value[:2] != b"ff"
        and value[3:35] != _NO_TRACE
        and value[36:52] != _NO_PARENT
    )


def outgoing(value: bytes | None) -> str:
    """Return the ``traceparent`` for the upstream: the trace of ``value`` if that is valid, or a new one.

    Of the flags only "sampled" is passed on, the rest is zero as section 3.2.2.5 asks of version 00. A new
    trace is marked as sampled: a service behind the gateway that samples by its parent would otherwise
    record nothing at all.
    """
    parent = (getrandbits(64) or 1).to_bytes(8, "big").hex()
    if value is not None and is_valid(value):
        flags = "01" if value[54] in _SAMPLED_DIGITS else "00"
        return f"00-{value[3:35].decode()}-{parent}-{flags}"
    return f"00-{(getrandbits(128) or 1).to_bytes(16, 'big').hex()}-{parent}-01"


def carry(headers: Headers) -> str:
    """Put the trace context for the upstream into a request's headers; returns the new ``traceparent``.

    ``tracestate`` belongs to the trace that it came with, and goes where that one is not continued.
    """
    lines = headers.lines
    value = headers.get(b"traceparent") if b"traceparent" in lines else None
    text = outgoing(value)
    if b"tracestate" in lines and (value is None or not is_valid(value)):
        del lines[b"tracestate"]
    lines[b"traceparent"] = b"traceparent: %b\r\n" % text.encode()
    return text
