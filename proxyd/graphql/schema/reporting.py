"""Telling clients that ask for it what their request costs: in a header, and in the extensions of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from proxyd.errors import GatewayError, Kind
from proxyd.http1.headers import Block
from proxyd.http1.message import BODILESS, SWITCHING
from proxyd.plugin import HOLD

if TYPE_CHECKING:
    from proxyd.exchange import Exchange, Reply
    from proxyd.http1.headers import Headers

HEADER: Final = b"graphql-cost"
REPORT: Final = b"report"  # what a client says there
KEY: Final = "graphql-cost"
_IDENTITY: Final = Block.of([(b"Accept-Encoding", b"identity")])


class Phases(Protocol):
    """What else is done with answers, before this."""

    def prepare(self, exchange: Exchange) -> None:
        """Have the backend answer so that it can be read."""

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> Reply | None:
        """See the head."""

    def wants_body(self, exchange: Exchange, status: int, headers: Headers) -> int:
        """Tell how the body is seen."""

    def body_filter(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        """See a piece of the body."""


class Reporting:
    """Stands before the other phases, for requests that ask; ``max_size`` is what an answer may have in bytes."""

    def __init__(self, inner: Phases, maximum: int | None, max_size: int) -> None:
        self._inner = inner
        self._maximum = maximum
        self._max_size = max_size

    def __repr__(self) -> str:
        return f"<Reporting {self._inner!r}>"

    def prepare(self, exchange: Exchange) -> None:
        """Have the backend answer whole and uncompressed."""
        self._inner.prepare(exchange)
        if exchange.headers.get(HEADER) == REPORT:
            exchange.keep(KEY, None)
            exchange.headers.put(_IDENTITY)

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> Reply | None:
        """Put the cost into a header."""
        reply = self._inner.header_filter(exchange, status, headers)
        operated = exchange.graphql
        if operated is None or exchange.context is None or KEY not in exchange.context:
            return reply
        if reply is None:
            headers.set(b"GraphQL-Cost", b"%d" % operated.cost)
            response = exchange.response
            whole = status not in BODILESS and status != SWITCHING
            if whole and response is not None and response.headers is headers and _is_json(headers):
                exchange.context[KEY] = _Held()
        return reply

    def wants_body(self, exchange: Exchange, status: int, headers: Headers) -> int:
        """Hold an answer that the cost goes into."""
        how = self._inner.wants_body(exchange, status, headers)
        held: _Held | None = exchange.context.get(KEY) if exchange.context is not None else None
        if held is None:
            return how
        held.seen = bool(how)
        return HOLD

    def body_filter(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        """Take a piece, behind the other phases."""
        held: _Held | None = exchange.context.get(KEY) if exchange.context is not None else None
        if held is None:
            return self._inner.body_filter(exchange, data, last)
        if held.seen:
            data = self._inner.body_filter(exchange, data, last)
        held.size += len(data)
        if held.size > self._max_size:
            raise GatewayError(Kind.BAD_RESPONSE, f"the answer is larger than {self._max_size} bytes")
        held.pieces.append(data)
        if not last:
            return b""
        body = b"".join(held.pieces)
        cost = exchange.graphql.cost if exchange.graphql is not None else 0
        return extended(body, {"requested": cost, "maximum": self._maximum})


class _Held:
    """The answer to one request that asks."""

    __slots__ = ("pieces", "seen", "size")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.seen = False  # the other phases see it too


def _is_json(headers: Headers) -> bool:
    coding = (headers.get(b"content-encoding") or b"identity").strip().lower()
    return coding == b"identity" and b"json" in (headers.get(b"content-type") or b"").lower()


def extended(body: bytes, cost: dict[str, Any]) -> bytes:
    """Return a response with its cost in ``extensions.cost``; what is no response, or many of them, stays as it is."""
    try:
        response = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(response, dict):
        return body
    there = response.get("extensions")
    if "extensions" in response:
        response["extensions"] = {**(there if isinstance(there, dict) else {}), "cost": cost}
        return orjson.dumps(response)
    # Not written anew: numbers stay as the backend has written them.
    start = body.rstrip()[:-1]
    comma = b"," if response else b""
    return start + comma + b'"extensions":' + orjson.dumps({"cost": cost}) + b"}"
