"""What the gateway writes on answers about itself: Via, Server, latencies and the request id.

Which of them, the setting ``headers`` says; Via is for proxied answers, Server for the gateway's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxyd.exchange import Exchange
    from proxyd.gateway.server_timing import ServerTiming

VIA: Final = b"1.1 proxyd/" + __version__.encode()
SERVER: Final = b"proxyd/" + __version__.encode()


def _upstream_ms(exchange: Exchange) -> int:
    return int((exchange.response_started - exchange.sent) * 1000)


def _proxy_ms(exchange: Exchange) -> int:
    return int((exchange.sent - exchange.started) * 1000)


class Marks:
    """The header lines that the gateway adds to answers; ``names`` are lower-case."""

    def __init__(
        self,
        names: Iterable[str],
        now: Callable[[], float],
        *,
        debug: bool = False,
        timing: ServerTiming | None = None,
    ) -> None:
        wanted = frozenset(names)
        self._now = now
        self._debug = debug  # Kong's allow_debug_header
        self._timing = timing
        self._wanted = wanted
        self._via = b"Via: %b\r\n" % VIA if "via" in wanted else b""
        self._server = b"Server: %b\r\n" % SERVER if "server" in wanted else b""
        self._id = "x-kong-request-id" in wanted
        both = {"x-kong-upstream-latency", "x-kong-proxy-latency", "x-kong-request-id"}
        others = debug or timing is not None or "x-kong-upstream-status" in wanted
        self._usual = both <= wanted and not others

    def proxied(self, exchange: Exchange) -> bytes:
        """Return the lines for an answer of the upstream."""
        if self._usual:
            lines = (
                f"X-Kong-Upstream-Latency: {_upstream_ms(exchange)}\r\n"
                f"X-Kong-Proxy-Latency: {_proxy_ms(exchange)}\r\nX-Kong-Request-Id: {exchange.request_id}\r\n"
            )
            return self._via + lines.encode()
        return self._via + self._some(exchange)

    def _some(self, exchange: Exchange) -> bytes:
        lines = b""
        if "x-kong-upstream-latency" in self._wanted:
            lines += b"X-Kong-Upstream-Latency: %d\r\n" % _upstream_ms(exchange)
        if "x-kong-proxy-latency" in self._wanted:
            lines += b"X-Kong-Proxy-Latency: %d\r\n" % _proxy_ms(exchange)
        if "x-kong-upstream-status" in self._wanted and exchange.response is not None:
            lines += b"X-Kong-Upstream-Status: %d\r\n" % exchange.response.status
        if self._debug and exchange.request.headers.get(b"kong-debug") == b"1":
            lines += _debug_lines(exchange)
        if self._timing is not None:
            lines += self._timing.line(exchange)
        return lines + self._request_id(exchange)

    def own(self, exchange: Exchange) -> bytes:
        """Return the lines for an answer of the gateway itself."""
        lines = self._server + self._request_id(exchange)
        if "x-kong-response-latency" in self._wanted:
            lines += b"X-Kong-Response-Latency: %d\r\n" % ((self._now() - exchange.started) * 1000)
        if self._timing is not None:
            lines += self._timing.line(exchange)
        return lines

    def _request_id(self, exchange: Exchange) -> bytes:
        return b"X-Kong-Request-Id: %b\r\n" % exchange.request_id.encode() if self._id else b""


def _debug_lines(exchange: Exchange) -> bytes:
    lines = ""
    for kind, entity in (("Route", exchange.route), ("Service", exchange.service)):
        if entity is not None:
            lines += f"Kong-{kind}-Id: {entity.id}\r\n"
            if entity.name:
                lines += f"Kong-{kind}-Name: {entity.name}\r\n"
    return lines.encode("latin-1", "replace")
