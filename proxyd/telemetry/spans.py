"""A finished exchange as the spans of a trace: one for the request, and one below it for the upstream.

Made when a sampled exchange is over, out of the times that it holds: a request whose trace is not recorded has no span at
any time. What the spans are called and which attributes they have is for ``otlp`` and ``zipkin``.
"""

from __future__ import annotations

from random import getrandbits
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

SERVER_ERRORS = 500  # the statuses from here on
CLIENT_ERRORS = 400
MAX_TEXT = 1024  # characters kept of what a client writes: its path, its query, its User-Agent

# What happens within the upstream's part.
CONNECTED = "connected"
ANSWERED = "answer began"

Value = str | int | bool


class Trace(NamedTuple):
    """The place of a sampled exchange in its trace. ``parent_id`` is 0 where the trace begins here."""

    trace_id: int
    parent_id: int
    server_id: int
    client_id: int
    short: bool = False


class Event(NamedTuple):
    """Something that happened within a span, at a time in nanoseconds since the epoch."""

    name: str
    time: int


class Span(NamedTuple):
    """One span; times in nanoseconds since the epoch. ``error`` is what went wrong, in a word, or empty."""

    trace: Trace
    span_id: int
    parent_id: int
    name: str
    kind: Literal["SERVER", "CLIENT"]
    start: int
    end: int
    error: str
    attributes: dict[str, Value]
    events: tuple[Event, ...] = ()


def new_span_id() -> int:
    """Return 64 bits that are not all zero."""
    return getrandbits(64) or 1


def new_trace_id(bits: int = 128) -> int:
    """Return that many bits, not all of them zero."""
    return getrandbits(bits) or 1


def server_span(
    exchange: Exchange, trace: Trace, wall: float, name: str, attributes: dict[str, Value]
) -> Span:
    """Return the span of the whole request; ``wall`` is what to add to its times to have seconds since the epoch."""
    status = exchange.status
    if exchange.error is not None:
        error = exchange.error.kind.value
    elif exchange.aborted:
        error = "aborted"
    else:
        error = str(status) if status >= SERVER_ERRORS else ""
    start, end = _at(exchange.started + wall), _at(exchange.ended + wall)
    return Span(trace, trace.server_id, trace.parent_id, name, "SERVER", start, end, error, attributes)


def client_span(
    exchange: Exchange, trace: Trace, wall: float, name: str, attributes: dict[str, Value]
) -> Span:
    """Return the span of the upstream's part, of an exchange that ``asked`` one.

    It begins when a connection was wanted or, with one at hand, when the head was sent, and ends with the answer's
    last byte; further tries are part of it.
    """
    asked = exchange.dialled or exchange.sent
    response = exchange.response
    if response is None:
        error = exchange.error.kind.value if exchange.error is not None else "aborted"
    else:
        error = str(response.status) if response.status >= CLIENT_ERRORS else ""
    events = tuple(
        Event(what, _at(when + wall))
        for what, when in (
            (CONNECTED, exchange.connected if exchange.dialled else 0.0),
            (ANSWERED, exchange.response_started),
        )
        if when
    )
    end = _at((exchange.response_ended or exchange.ended) + wall)
    return Span(
        trace,
        trace.client_id,
        trace.server_id,
        name,
        "CLIENT",
        _at(asked + wall),
        end,
        error,
        attributes,
        events,
    )


def asked(exchange: Exchange) -> bool:
    """Whether an upstream was asked."""
    return bool(exchange.dialled or exchange.sent)


def _at(seconds: float) -> int:
    return int(seconds * 1_000_000) * 1000
