"""What a route may ask of a request besides its path: a host pattern, a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxyd.gateway.router.patterns import Pattern
from proxyd.http1.target import parse_host

if TYPE_CHECKING:
    from proxyd.http1.headers import Headers

DEFAULT_PORTS = {"http": 80, "https": 443}


class Asked:
    """What a request brings besides its path: ``name`` is the host without its port, in lower case.

    ``sni`` is None where server names do not count, which is on plain http.
    """

    __slots__ = ("headers", "method", "name", "port", "sni")

    def __init__(self, scheme: str, method: str, host: str, headers: Headers, sni: str) -> None:
        name, port = split_port(host)
        self.name = name
        self.port = port or DEFAULT_PORTS.get(scheme, 0)
        self.method = method
        self.sni = sni if scheme == "https" else None
        self.headers = headers

    def __repr__(self) -> str:
        return f"<Asked {self.method} {self.name}:{self.port} sni={self.sni}>"


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One entry of ``hosts``: a name, ``*.suffix`` or ``prefix.*``, with a port or (0) for any port.

    ``fixed`` is the name, or the part of it beside the star, its dot included; ``kind`` is ``""`` for a plain
    name, ``"*."`` or ``".*"``.
    """

    fixed: str
    kind: str
    port: int

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Read an entry, an IPv6 address with or without brackets; gives names the form of requests' hosts."""
        if text.count(":") > 1:
            text = parse_host((text if text[0] == "[" else f"[{text}]").encode())
        name, port = split_port(text.lower())
        name = name.removesuffix(".")
        if name.startswith("*."):
            return cls(name[1:], "*.", port)
        if name.endswith(".*"):
            return cls(name[:-1], ".*", port)
        return cls(name, "", port)

    def accepts(self, name: str, port: int) -> bool:
        """Whether a request for this lower-case name and port is meant."""
        if self.port and port != self.port:
            return False
        if self.kind == "*.":
            return name.endswith(self.fixed)
        if self.kind == ".*":
            return name.startswith(self.fixed)
        return name == self.fixed


def split_port(host: str) -> tuple[str, int]:
    """Split ``name:port``; the port is 0 where there is none. IPv6 addresses are in brackets."""
    if ":" not in host or host[-1] == "]":
        return host, 0
    name, _, port = host.rpartition(":")
    return (name, int(port)) if port.isdecimal() else (host, 0)


@dataclass(frozen=True, slots=True)
class HeaderCondition:
    """One entry of ``headers``: any of the request's values equals a value or matches an expression."""

    name: bytes
    values: frozenset[bytes]
    patterns: tuple[Pattern, ...]

    @classmethod
    def parse(cls, name: str, values: tuple[str, ...]) -> HeaderCondition:
        """Read an entry; ``~*`` marks an expression, which is searched for anywhere, in any case."""
        plain = frozenset(value.lower().encode() for value in values if not value.startswith("~*"))
        patterns = tuple(Pattern(value[2:], ignore_case=True) for value in values if value.startswith("~*"))
        return cls(name.lower().encode(), plain, patterns)

    def accepts(self, headers: Headers) -> bool:
        """Whether one of the request's fields of this name is meant."""
        for value in headers.get_all(self.name):
            if value.lower() in self.values:
                return True
            for pattern in self.patterns:
                if pattern.found_in(value):
                    return True
        return False
