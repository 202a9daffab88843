"""The server name in a TLS ClientHello: the one thing that has to be known before a handshake begins.

Python's ``ssl`` takes the certificate that an SNI callback chooses, and nothing else of its context: versions,
suites and whether a client certificate is asked for stay those of the listener. Reading the name first lets the
whole context follow it. What cannot be read here has no name; OpenSSL says what is wrong with it.
"""

from __future__ import annotations

from typing import Final

MAX_HELLO: Final = 64 * 1024  # bytes of a ClientHello that is waited for; browsers send about 2 KiB

_HANDSHAKE: Final = 22  # content type of a record (RFC 8446 section 5.1)
_CLIENT_HELLO: Final = b"\x01"  # handshake type (section 4)
_SERVER_NAME: Final = b"\x00\x00"  # extension (RFC 6066 section 3)
_HOST_NAME: Final = b"\x00"  # kind of name (the same)
_RECORD_HEAD: Final = 5
_MESSAGE_HEAD: Final = 4
_VERSION_AND_RANDOM: Final = 34


class HelloReader:
    """Reads one ClientHello as it comes, each byte of it once: a client may send it in as many pieces as it has bytes."""

    __slots__ = ("_message", "_position")

    def __init__(self) -> None:
        self._message = bytearray()
        self._position = 0  # where in what has come the next record begins, or the rest of one

    def name(self, data: bytes) -> str | None:
        """Return the name that a client asks for, given all that has come so far.

        It is in lower case; empty where it asks for none, None for more bytes.
        """
        message = self._message
        while (position := self._position) < len(data) and data[position] == _HANDSHAKE:
            body = position + _RECORD_HEAD
            end = body + int.from_bytes(data[body - 2 : body], "big")
            if len(data) < max(end, body):
                return None
            if end == body:  # an empty record
                return ""
            message += data[body:end]
            self._position = end
            length = _MESSAGE_HEAD + int.from_bytes(message[1:4], "big")
            if len(message) >= _MESSAGE_HEAD and (len(message) >= length or length > MAX_HELLO):
                whole = bytes(message[_MESSAGE_HEAD:length])
                return _name_in(whole) if message[:1] == _CLIENT_HELLO else ""
        return "" if self._position < len(data) else None


def _name_in(hello: bytes) -> str:
    rest = hello[_VERSION_AND_RANDOM:]
    for width in (1, 2, 1):  # session id, suites, compression methods
        _, rest = _split(rest, width)
    extensions, _ = _split(rest, 2)
    while extensions:
        kind = extensions[:2]
        content, extensions = _split(extensions[2:], 2)
        if kind == _SERVER_NAME:
            names, _ = _split(content, 2)
            name, _ = _split(names[1:], 2)
            return name.decode("ascii", "replace").lower() if names[:1] == _HOST_NAME else ""
    return ""


def _split(data: bytes, width: int) -> tuple[bytes, bytes]:
    """Take a vector off: its length in ``width`` bytes, then that many."""
    end = width + int.from_bytes(data[:width], "big")
    return data[width:end], data[end:]
