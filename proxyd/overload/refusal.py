"""The answer to a request that is refused before anything is known of it: written beforehand, sent as it is.

It has Kong's shape but for a request id, for nothing is kept of such a request that an id could lead to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from proxyd.http1.encoder import STATUS_LINES

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

STATUS: Final = 503
MESSAGE: Final = "The gateway is overloaded"
RETRY_AFTER: Final = (
    1,
    2,
    3,
    4,
)  # seconds, in turn: clients that were refused together do not come back together


class Refused(Protocol):
    """What is needed of a client's sink."""

    def settle_body(self) -> bool:
        """Discard what has come of an unread body, then tell whether another request may follow."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def finish(self) -> None:
        """End the exchange."""


def _written(seconds: int, connection: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body."""
    body = b'{\n  "message":"%b"\n}' % MESSAGE.encode()
    head = (
        b"%bContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n"
        b"Retry-After: %d\r\nConnection: %b\r\n\r\n"
    ) % (STATUS_LINES[STATUS], len(body), seconds, connection)
    return head, body


_KEPT: Final = tuple(_written(seconds, b"keep-alive") for seconds in RETRY_AFTER)
_CLOSED: Final = tuple(_written(seconds, b"close") for seconds in RETRY_AFTER)


def refuse(exchange: Exchange, sink: Refused, turn: int) -> None:
    """Answer, and end the exchange. The connection stays, where the client lets it: a new one costs more."""
    answers = _KEPT if sink.settle_body() else _CLOSED
    head, body = answers[turn % len(answers)]
    exchange.ended = exchange.started  # from when the connection may idle
    sink.write(head if exchange.request.method == "HEAD" else head + body)
    sink.finish()
