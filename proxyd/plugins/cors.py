"""cors: which pages of other origins a browser lets read the answers (the Fetch standard, section 3.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, Self

import re2
from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.bases.phases.origins import PLAIN, Marker, Origins
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers, is_field_value

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

Method = Literal["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
METHODS: tuple[Method, ...] = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT")


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
            if not PLAIN.fullmatch(origin):
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
        self._origins = Origins(config.origins or ("*",), credentials=config.credentials)
        self._lines = self._lines_of_preflights(config)
        self._marker = Marker(
            self._origins,
            config.exposed_headers or (),
            None if config.preflight_continue else self._preflight,
            credentials=config.credentials,
            marks_absent=config.allow_origin_absent,
        )
        self.direct = {"access": self._marker.access, "header_filter": self._marker.header_filter}
        self.admits = self._origins.admits

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
        return self._marker.access(exchange)

    def _preflight(self, exchange: Exchange) -> Reply | None:
        headers = exchange.headers
        if b"origin" not in headers or b"access-control-request-method" not in headers:
            return None
        answer = Headers()
        allowed = self._origins.allowed(headers.get(b"origin"))
        for name, value in self._lines if allowed is not None else ():
            answer.set(name, value)
        asked = headers.get(b"access-control-request-headers")
        if self.config.headers is None and asked and self._lines:
            answer.set(b"Access-Control-Allow-Headers", asked)
            answer.add(b"Vary", b"Access-Control-Request-Headers")
        if self.config.private_network and headers.get(b"access-control-request-private-network") == b"true":
            answer.set(b"Access-Control-Allow-Private-Network", b"true")
        return Reply(200, body=b"", headers=answer)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> None:
        """Say which origin may read the answer, in place of what the upstream says of it."""
        self._marker.header_filter(exchange, status, headers)
