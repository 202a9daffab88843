"""csrf: a browser's cookies are no consent; what another site's page sends with them is refused.

Not Kong's. What decides is what browsers say of a request and pages cannot change: Sec-Fetch-Site (Fetch Metadata, W3C),
then Origin (RFC 6454), then Referer. Neither tokens nor state are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.http1.headers import is_field_value

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

# RFC 9110 section 9.2.1: these change nothing, or the application has a fault that no gateway mends.
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

_PORTS = {"http": 80, "https": 443}


class Config(plugin.Config):
    """Settings of csrf."""

    cookie_names: tuple[str, ...] | None = Field(None, min_length=1)
    """Cookies that say who calls: requests without one of them are not looked at; none: any cookie does."""
    allowed_origins: tuple[str, ...] = ()
    """Other origins whose pages may send, such as ``https://app.example.com``."""
    allow_same_site: bool = False
    """Whether pages of other hosts of the same site may send, where browsers call them so."""
    allow_unknown: bool = False
    """Whether requests pass that say nothing of where they come from; today's browsers all do."""
    header_name: str | None = Field(None, pattern=plugin.HEADER_NAME)
    """Header that must be there too, as forms cannot set one; WebSocket handshakes, which cannot either, go without."""
    error_code: int = Field(403, ge=400, le=599)
    """Status of a refusal."""
    error_message: str = Field("Cross-site request refused", min_length=1)
    """Message of a refusal."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for origin in self.allowed_origins:
            if parse_origin(origin) is None or not is_field_value(origin.encode()):
                raise ValueError(
                    f"{origin!r} is not an origin: scheme, host and port, and nothing behind them"
                )
        return self


class Csrf(plugin.Plugin[Config]):
    """Refuses what pages of other sites send with a visitor's cookies, WebSocket handshakes among it.

    Requests of safe methods and requests without cookies pass.
    """

    name = "csrf"
    priority = 1950  # behind cors, which answers preflights, and before anything believes a cookie
    answers = (("error_code", "the request comes from another site, or does not say where from"),)

    def prepare(self) -> None:
        """Parse the origins."""
        config = self.config
        self._allowed = {parse_origin(origin) for origin in config.allowed_origins}
        self._cookies = frozenset(name.encode() for name in config.cookie_names or ())
        self._header = config.header_name.lower().encode() if config.header_name else None

    def access(self, exchange: Exchange) -> Reply | None:
        """Look at where the request comes from."""
        request = exchange.request
        if (request.method in SAFE and not request.upgrade) or not self._identifies(exchange):
            return None
        missing = self._header is not None and self._header not in exchange.headers and not request.upgrade
        if missing or not self._is_ours(exchange):
            return Reply(self.config.error_code, self.config.error_message)
        return None

    def _identifies(self, exchange: Exchange) -> bool:
        cookies = exchange.headers.get_all(b"cookie")
        if not self._cookies:
            return bool(cookies)
        return any(
            pair.partition(b"=")[0].strip() in self._cookies for line in cookies for pair in line.split(b";")
        )

    def _is_ours(self, exchange: Exchange) -> bool:
        headers = exchange.headers
        named = headers.get_all(b"origin")
        origin = parse_origin(named[0].decode("latin-1")) if len(named) == 1 else None
        if origin is not None and origin in self._allowed:
            return True
        sites = headers.get_all(b"sec-fetch-site")
        if sites:
            site = sites[0] if len(sites) == 1 else b""
            return site in {b"same-origin", b"none"} or (site == b"same-site" and self.config.allow_same_site)
        if not named:  # a form of an old browser: Referer is the next best
            referer = headers.get(b"referer")
            if referer is None:
                return self.config.allow_unknown
            origin = parse_origin(_base(referer.decode("latin-1")))
            if origin is not None and origin in self._allowed:
                return True
        return origin is not None and _is_same(origin, exchange)


def parse_origin(text: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an origin (RFC 6454 section 6.2), or None for ``null`` and what is none."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    rest = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if rest or not parts.hostname or parts.scheme not in _PORTS:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]


def _base(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.partition("/")[0].partition("?")[0]


def _is_same(origin: tuple[str, str, int], exchange: Exchange) -> bool:
    """Whether an origin is the one that the request was sent to.

    TLS may end before the gateway, so https is taken where the gateway sees http; the reverse is a page that
    anybody on the way could have written.
    """
    scheme, host, port = origin
    own = parse_origin(f"{scheme}://{exchange.request.host}")
    return own == (scheme, host, port) and (scheme == "https" or exchange.scheme == "http")
