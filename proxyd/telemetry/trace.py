"""Identifiers that tie a request's records together: the request id and the W3C trace context.

The gateway records no spans, so it passes a trace on as it came: a parent id of its own would be one that no
trace viewer ever finds. Request ids are unique, not secret: they come from the process's pseudo-random
generator, which is seeded by the operating system and seeded anew in a forked child.
"""

from __future__ import annotations

from random import getrandbits
from typing import Final

_LENGTH: Final = 55  # of version 00: 2 + 32 + 16 + 2 hexadecimal digits and three dashes
_DASH: Final = 0x2D
# Each lower-case hexadecimal digit becomes x, each dash stays, and anything else becomes something else.
_SHAPE_OF: Final = bytes(
    0x78 if byte in b"0123456789abcdef" else byte if byte == _DASH else 0 for byte in range(256)
)
_SHAPE: Final = b"-".join((b"x" * 2, b"x" * 32, b"x" * 16, b"x" * 2))
_NO_TRACE: Final = b"0" * 32
_NO_PARENT: Final = b"0" * 16


def new_request_id() -> str:
    """Return 32 hexadecimal digits."""
    return getrandbits(128).to_bytes(16, "big").hex()


def is_valid(value: bytes) -> bool:
    """Whether a ``traceparent`` is one that may be passed on (W3C Trace Context, section 3.2.2).

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
