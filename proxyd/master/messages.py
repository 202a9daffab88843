"""What master and worker say to each other, as bytes: a head of two lengths, a JSON object, and what is no JSON.

Texts of configurations and reports are large and opaque here: they travel behind the object, as they are.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import orjson

PROTOCOL: Final = 1  # of the messages: a worker that speaks another one does not start under this master
_HEAD: Final = struct.Struct("!II")  # lengths of the object and of what follows it
MAX_OBJECT: Final = 16 * 1024 * 1024  # bytes: problems of a configuration with as many errors as it has lines
MAX_ATTACHED: Final = 512 * 1024 * 1024  # bytes: a configuration, or the figures of every route and consumer

Message = tuple[dict[str, Any], bytes]


class MessageError(Exception):
    """The other side sends what is no message."""


def encode(message: dict[str, Any], attached: bytes = b"") -> bytes:
    """Return a message as it goes over the wire."""
    text = orjson.dumps(message)
    return b"".join((_HEAD.pack(len(text), len(attached)), text, attached))


class Reader:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._data = bytearray()

    def __repr__(self) -> str:
        return f"<Reader waiting={len(self._data)}>"

    def feed(self, data: bytes) -> list[Message]:
        """Take what has come, and return the messages that are whole now; raises MessageError."""
        self._data += data
        found: list[Message] = []
        while len(self._data) >= _HEAD.size:
            size, more = _HEAD.unpack_from(self._data)
            if size > MAX_OBJECT or more > MAX_ATTACHED:
                raise MessageError(f"a message of {size} and {more} bytes")
            end = _HEAD.size + size
            if len(self._data) < end + more:
                break
            try:
                message = orjson.loads(memoryview(self._data)[_HEAD.size : end])
            except orjson.JSONDecodeError as error:
                raise MessageError(f"no JSON: {error}") from None
            if not isinstance(message, dict):
                raise MessageError("not an object")
            found.append((message, bytes(memoryview(self._data)[end : end + more])))
            del self._data[: end + more]
        return found
