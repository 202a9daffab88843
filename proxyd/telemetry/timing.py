"""Whose time a finished exchange took: the one definition that metrics and access lines share.

The whole runs from the complete request head to the handing of the last byte of the answer to the client's socket.
The upstream's part runs from the moment that the gateway had nothing left to do but wait for it (for a
connection, or, where one was at hand, for the answer) to the last byte that was read of its answer; streaming
of either body falls into it, and so do pauses that a slow client forces on it. The gateway's own part is the
rest, less the time that a phase waited for the client to send its body. Policies that wait for something
else, a counter store for one, are the gateway's own.

A connection that was upgraded counts with its handshake: how long a WebSocket stays open is nobody's latency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

NO_UPSTREAM: Final = -1.0  # in place of seconds, where no upstream was asked


def split(exchange: Exchange) -> tuple[float, float, float]:
    """Return the whole, the upstream's part (or NO_UPSTREAM) and the gateway's own part, in seconds."""
    end = exchange.response_started if exchange.upgraded else exchange.ended
    whole = end - exchange.started
    asked = exchange.dialled or exchange.sent
    if asked:
        upstream = (end if exchange.upgraded else exchange.response_ended or end) - asked
        own = whole - upstream - exchange.body_waited
    else:
        upstream = NO_UPSTREAM
        own = whole - exchange.body_waited
    return whole, upstream, own if own > 0.0 else 0.0  # noqa: FURB136  # max is a call, on every request


def connect_seconds(exchange: Exchange) -> float:
    """Return how long a connection was waited for, name resolution and TLS included; 0.0 for a pooled one."""
    dialled = exchange.dialled
    return max(exchange.connected - dialled, 0.0) if dialled else 0.0
