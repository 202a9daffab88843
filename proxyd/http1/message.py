"""The heads of messages, as the parser makes them. Bodies are bytes and never kept here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxyd.http1.headers import Headers

# How a body is delimited: a number of bytes (0 is none), or one of these.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

BODILESS: Final = frozenset({204, 304})  # final answers that never have a body (RFC 9110 section 6.4.1)
SWITCHING: Final = 101


class RequestHead:
    """A request line and its end-to-end header fields.

    ``target`` is the request target as it came, ``path`` and ``query`` (with its ``?``, or empty) what the
    gateway routes and forwards: the normalised form of ``target``. ``host`` is lower-case, with its port if
    one was sent, and empty where HTTP/1.0 gave none. ``framing`` is a length in bytes or CHUNKED.
    ``upgrade`` is the lower-case protocol asked for, empty for none; ``trailers`` tells whether the client
    takes them. Host, Expect and what else describes this hop is in these attributes and not in ``headers``.
    """

    __slots__ = (
        "expect_continue",
        "framing",
        "headers",
        "host",
        "keep_alive",
        "method",
        "minor",
        "path",
        "query",
        "target",
        "trailers",
        "upgrade",
    )

    def __init__(
        self,
        method: str,
        target: str,
        path: str,
        query: str,
        minor: int,
        host: str,
        headers: Headers,
        framing: int,
        keep_alive: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.minor = minor
        self.host = host
        self.headers = headers
        self.framing = framing
        self.keep_alive = keep_alive
        self.upgrade = ""
        self.expect_continue = False
        self.trailers = False

    def __repr__(self) -> str:
        return f"<RequestHead {self.method} {self.path} host={self.host} framing={self.framing} {self.headers!r}>"


class ResponseHead:
    """A status line and its end-to-end header fields; ``framing`` is a length in bytes, CHUNKED or UNTIL_CLOSE.

    ``idle_timeout`` is how long the upstream keeps an idle connection, in seconds, -1 where it does not say;
    ``upgrade`` the lower-case protocol that a 101 switches to.
    """

    __slots__ = ("framing", "headers", "idle_timeout", "keep_alive", "minor", "reason", "status", "upgrade")

    def __init__(
        self,
        status: int,
        reason: bytes,
        minor: int,
        headers: Headers,
        framing: int,
        keep_alive: bool,
        idle_timeout: int = -1,
    ) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.headers = headers
        self.framing = framing
        self.keep_alive = keep_alive
        self.idle_timeout = idle_timeout
        self.upgrade = ""

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} framing={self.framing} {self.headers!r}>"
