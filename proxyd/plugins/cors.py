"""cors: which pages of other origins a browser lets read the answers (the Fetch standard, section 3.3)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

import re2
from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.http1.headers import Block, Headers, is_field_value, members

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

Method = Literal["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
METHODS: tuple[Method, ...] = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT")

_PLAIN = re.compile(r"[A-Za-z0-9.:/_-]+|\*")
_CACHED = 1024  # origins whose verdict is remembered
_LONGEST = 512  # bytes of an origin: a host has 253 characters at most
_VARY = b"Vary: Origin\r\n"
_OF_ANSWERS = (b"access-control-allow-origin", b"access-control-expose-headers")
_OURS = (
    *_OF_ANSWERS,
    b"access-control-allow-credentials",
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-max-age",
)


class Config(plugin.Config):
    """Settings of cors (Kong's ``kong/plugins/cors/schema.lua``)."""

    origins: tuple[str, ...] | None = Field(None, min_length=1)
    """Origins let in: exact, ``*``, a host alone, or a regular expression that must match from start to end; none: all."""
    methods: tuple[Method, ...] = METHODS
    """Methods that a preflight is told."""
    headers: tuple[str, ...] | None = None
    """Request headers that a preflight is told; none: those that it asks for."""
    exposed_headers: tuple[str, ...] | None = None
    """Response headers that pages may read."""
    credentials: bool = False
    """Whether requests with cookies or keys are let in."""
    max_age: int | None = Field(None, ge=0)
    """Seconds for which a browser may keep the answer to a preflight."""
    preflight_continue: bool = False
    """Whether preflights go to the upstream."""
    private_network: bool = False
    """Whether public pages may call an address of a private network."""
    allow_origin_absent: bool = True
    """Whether answers to requests without an Origin carry the headers too."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for name in (*(self.headers or ()), *(self.exposed_headers or ())):
            if name != "*" and not re.match(plugin.HEADER_NAME, name):
                raise ValueError(f"{name!r} is not the name of a header")
        for origin in self.origins or ():
            if not origin or not is_field_value(origin.encode()):
                raise ValueError(f"{origin!r} is not an origin")
            if not _PLAIN.fullmatch(origin):
                try:
                    re2.compile(origin)
                except re2.error as error:
                    raise ValueError(f"{origin!r} is not a regular expression: {error}") from None
        return self


class Cors(plugin.Plugin[Config]):
    """Answers preflights, before authentication, and marks answers, the gateway's own errors among them.

    A preflight is an OPTIONS request with Origin and Access-Control-Request-Method; a route whose ``methods`` leave
    OPTIONS out never sees it, as in Kong.
    """

    name = "cors"
    priority = 2000
    answers = ((200, "a preflight, unless preflight_continue"),)

    def prepare(self) -> None:
        """Sort the origins by kind, and write the lines of preflights."""
        config = self.config
        origins = config.origins or ("*",)
        self._any = "*" in origins
        plain = [origin for origin in origins if _PLAIN.fullmatch(origin)]
        # A single exact origin is told whatever the request's is: the browser compares (Kong).
        self._single = plain[0].encode() if len(origins) == len(plain) == 1 and ":" in plain[0] else None
        self._exact = {origin.lower() for origin in plain if ":" in origin}
        self._hosts = {origin.lower() for origin in plain if ":" not in origin and origin != "*"}
        self._patterns = [re2.compile(origin) for origin in origins if not _PLAIN.fullmatch(origin)]
        self._matches = lru_cache(_CACHED)(self._look_up)
        self._credentials = config.credentials
        self._marks_absent = config.allow_origin_absent
        self._answers_preflights = not config.preflight_continue
        self._preflight = self._lines_of_preflights(config)
        self._block = lru_cache(_CACHED)(self._write)

    @staticmethod
    def _lines_of_preflights(config: Config) -> list[tuple[bytes, bytes]]:
        lines = [(b"Access-Control-Allow-Methods", ",".join(config.methods).encode())]
        if config.headers is not None:
            lines.append((b"Access-Control-Allow-Headers", ",".join(config.headers).encode()))
        if config.max_age is not None:
            lines.append((b"Access-Control-Max-Age", b"%d" % config.max_age))
        return lines

    def access(self, exchange: Exchange) -> Reply | None:
        """Answer a preflight."""
        headers = exchange.headers
        if (
            exchange.request.method != "OPTIONS"
            or not self._answers_preflights
            or b"origin" not in headers
            or b"access-control-request-method" not in headers
        ):
            return None
        answer = Headers()
        for name, value in self._preflight if self._allowed(headers.get(b"origin")) is not None else ():
            answer.set(name, value)
        asked = headers.get(b"access-control-request-headers")
        if self.config.headers is None and asked and self._preflight:
            answer.set(b"Access-Control-Allow-Headers", asked)
            answer.add(b"Vary", b"Access-Control-Request-Headers")
        if self.config.private_network and headers.get(b"access-control-request-private-network") == b"true":
            answer.set(b"Access-Control-Allow-Private-Network", b"true")
        return Reply(200, body=b"", headers=answer)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Say which origin may read the answer, in place of what the upstream says of it."""
        del status
        origin = exchange.headers.get(b"origin")
        if origin is None and not self._marks_absent:
            return
        mine = self._answers_preflights and exchange.request.method == "OPTIONS"
        allowed = self._allowed(origin)
        if allowed != b"*":
            _vary(headers)
        headers.put(self._block(allowed, _OF_ANSWERS if mine else _OURS))

    def _write(self, allowed: bytes | None, ours: tuple[bytes, ...]) -> Block:
        """Write the lines that let an origin read answers, in place of all that are ours to write."""
        lines = []
        if allowed is not None:
            lines.append((b"Access-Control-Allow-Origin", allowed))
            if self.config.credentials and allowed != b"*":
                lines.append((b"Access-Control-Allow-Credentials", b"true"))
            if self.config.exposed_headers:
                exposed = ", ".join(self.config.exposed_headers).encode()
                lines.append((b"Access-Control-Expose-Headers", exposed))
        return Block.of(lines, absent=ours)

    def admits(self, origin: str) -> bool:
        """Whether pages of this origin may read the answers."""
        asked = origin.encode("utf-8", "replace")
        return self._allowed(asked) in {b"*", asked}

    def _allowed(self, origin: bytes | None) -> bytes | None:
        """Return what Access-Control-Allow-Origin says to an origin, or None for nothing."""
        if origin is not None and len(origin) > _LONGEST:
            origin = None  # nor would what is remembered have a bound
        if self._any:
            return origin if self._credentials and origin else b"*"
        if self._single is not None:
            return self._single
        if origin is None:
            return None
        return origin if self._matches(origin.decode("latin-1")) else None

    def _look_up(self, origin: str) -> bool:
        lowered = origin.lower()
        if lowered in self._exact:
            return True
        try:
            host = urlsplit(lowered).hostname
        except ValueError:
            return False
        return host in self._hosts or any(
            pattern.fullmatch(text) for pattern in self._patterns for text in (origin, host or "") if text
        )


def _vary(headers: Headers) -> None:
    varies = headers.get(b"vary")
    if varies is None or not _names_origin(varies):
        headers.append(_VARY)


@lru_cache(_CACHED)
def _names_origin(varies: bytes) -> bool:
    return not {b"origin", b"*"}.isdisjoint(members(varies))
