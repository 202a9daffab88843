"""How a WebSocket of GraphQL ends: the code that its client is told for what has happened.

The codes are chosen by what the library graphql-ws does with them: it comes back after 1001, 1012, 1013 and 4403, and takes
4400, 4401, 4429, 4500 and 1011 for the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.graphql.subscriptions.frames import GOING_AWAY, NORMAL, TRY_AGAIN
from proxyd.graphql.subscriptions.protocols import (
    ALREADY_EXISTS,
    BAD_REQUEST,
    FORBIDDEN,
    INIT_TIMEOUT,
    NO_SUBPROTOCOL,
    SERVER_ERROR,
    TOO_MANY_INITS,
    UNAUTHORIZED,
)
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from proxyd.exchange import Exchange

Outcome = tuple[int, str]

RESTARTED = 1012
INTERNAL = 1011

LOST: Final[Outcome] = (RESTARTED, "The backend is gone")
UNREACHABLE: Final[Outcome] = (SERVER_ERROR, "Internal server error")
EXPIRED: Final[Outcome] = (FORBIDDEN, "Forbidden: the credentials have expired")
LEAVING: Final[Outcome] = (GOING_AWAY, "Going away")

_OF_STATUS: Final[dict[int, Outcome]] = {
    401: (UNAUTHORIZED, "Unauthorized"),
    403: (FORBIDDEN, "Forbidden"),
    429: (TRY_AGAIN, "Too many requests"),
    502: (TRY_AGAIN, "Try again later"),
    503: (TRY_AGAIN, "Try again later"),
    504: (TRY_AGAIN, "Try again later"),
}
_WORDS: Final = dict([*_OF_STATUS.values(), UNREACHABLE, LOST, (BAD_REQUEST, "Bad request")])
_RETRIED: Final = frozenset({NORMAL, GOING_AWAY, RESTARTED, TRY_AGAIN})

# Of the backend's own codes, these are about what the gateway has sent, which is no business of its client's.
_OUR_CONDUCT: Final = frozenset({BAD_REQUEST, NO_SUBPROTOCOL, INIT_TIMEOUT, ALREADY_EXISTS, TOO_MANY_INITS})


def of_status(status: int) -> Outcome:
    """Return what stands for an HTTP status, of a policy that refuses or of the backend's handshake."""
    found = _OF_STATUS.get(status)
    if found is not None:
        return found
    return (BAD_REQUEST, "Bad request") if status < 500 else UNREACHABLE  # noqa: PLR2004


def of_backend_close(code: int, reason: str) -> Outcome:
    """Return what the client is told when the backend has closed: its own codes, and those that mean to come back."""
    if code in _RETRIED or (4000 <= code < 5000 and code not in _OUR_CONDUCT):  # noqa: PLR2004
        return code, reason
    if code >= 3000 or code in {1002, 1003, 1007, 1008, 1009, 1010, INTERNAL}:  # noqa: PLR2004
        return UNREACHABLE
    return LOST


def without_reason(code: int) -> str:
    """Return what stands in place of the reason that a backend closes with, which may tell of its inside."""
    return _WORDS.get(code, "")


def log_failure(exchange: Exchange | None, error: Exception) -> None:
    """Tell of an exception that nobody has expected; without an exchange, in what many share."""
    request_id = exchange.request_id if exchange is not None else ""
    get_logger("graphql").error("a subscription failed", request_id=request_id, exc_info=error)
