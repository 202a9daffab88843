"""The PROXY protocol, versions 1 and 2: what a load balancer says of a client before the client's own bytes.

Bytes in, a ``Source`` out; no I/O. The rules are those of HAProxy's specification (doc/proxy-protocol.txt),
and the header is read strictly: what is not one ends the connection.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from proxyd.errors import ProxydError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_LINE: Final = 107  # bytes of version 1, with its CRLF (section 2.1)
MAX_BLOCK: Final = 4096  # bytes of version 2; nginx takes as many
BLOCK_HEAD: Final = 16

_LINE_MARK: Final = b"PROXY "
_BLOCK_MARK: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}")
_MAX_PORT: Final = 65_535
_LOCAL: Final = 0x20  # version and command (section 2.2)
_PROXIED: Final = 0x21
_STREAM: Final = 1  # transport, in the lower half of its byte
_UNSPECIFIED: Final = 0
_WIDTHS: Final = {1: 4, 2: 16}  # bytes of an address, by family: AF_INET, AF_INET6
_UNIX: Final = 3
_FAMILIES: Final[dict[str, type[Address]]] = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}


class PrefaceError(ProxydError):
    """What stands at the beginning of a connection is no PROXY header."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a client comes from, and the port that it came to; an empty address says nothing new."""

    address: str = ""
    port: int = 0
    own_port: int = 0


class PrefaceReader:
    """Reads one header. Fed with what has come, it tells how much of that is the header's."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self._data = b""

    def __repr__(self) -> str:
        return f"<PrefaceReader {len(self._data)} {self.source or 'incomplete'}>"

    def feed(self, data: bytes) -> int:
        """Take bytes and return how many of them belong to the header; ``source`` is set when it is complete.

        Raises PrefaceError.
        """
        before = len(self._data)
        whole = self._data + data
        mark = _BLOCK_MARK if whole[:1] == b"\r" else _LINE_MARK
        if whole[: len(mark)] != mark[: len(whole)]:
            raise PrefaceError("no PROXY header")
        end = self._line(whole) if mark is _LINE_MARK else self._block(whole)
        self._data = whole[:end]
        return end - before

    def _line(self, data: bytes) -> int:
        end = data.find(b"\n") + 1
        if end:
            self.source = _read_line(data[:end])
        elif len(data) >= MAX_LINE:
            raise PrefaceError("PROXY line too long")
        return end or len(data)

    def _block(self, data: bytes) -> int:
        if len(data) < BLOCK_HEAD:
            return len(data)
        end = BLOCK_HEAD + int.from_bytes(data[14:16], "big")
        if end > MAX_BLOCK:
            raise PrefaceError("PROXY header too long")
        if len(data) < end:
            return len(data)
        self.source = _read_block(data[12], data[13], data[BLOCK_HEAD:end])
        return end


def _read_line(line: bytes) -> Source:
    if len(line) > MAX_LINE or not line.endswith(b"\r\n") or not line.isascii():
        raise PrefaceError("malformed PROXY line")
    words = line[:-2].decode().split(" ")
    if words[1] == "UNKNOWN":
        return Source()
    family = _FAMILIES.get(words[1])
    if family is None or len(words) != 6:  # noqa: PLR2004  # PROXY, family, two addresses, two ports
        raise PrefaceError("malformed PROXY line")
    try:
        address, _ = family(words[2]), family(words[3])
    except ValueError as error:
        raise PrefaceError("malformed address in PROXY line") from error
    return Source(_plain(address), _port(words[4]), _port(words[5]))


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > _MAX_PORT:
        raise PrefaceError("malformed port in PROXY line")
    return int(text)


def _read_block(command: int, family: int, addresses: bytes) -> Source:
    if command == _LOCAL:
        return Source()
    if command != _PROXIED:
        raise PrefaceError("unknown version or command in PROXY header")
    kind, transport = family >> 4, family & 15
    if kind in (_UNSPECIFIED, _UNIX):
        return Source()
    width = _WIDTHS.get(kind)
    if width is None or transport != _STREAM or len(addresses) < 2 * width + 4:
        raise PrefaceError("unknown or short addresses in PROXY header")
    ports = addresses[2 * width :]
    return Source(
        _plain(ipaddress.ip_address(addresses[:width])),
        int.from_bytes(ports[:2], "big"),
        int.from_bytes(ports[2:4], "big"),
    )


def _plain(address: Address) -> str:
    if getattr(address, "scope_id", None):
        raise PrefaceError("malformed address in PROXY line")  # a zone is of the machine that names it
    return str(getattr(address, "ipv4_mapped", None) or address)
