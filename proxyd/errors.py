"""The one exception tree: who is at fault, whether to retry, and the status, as fields.

Foreign exceptions (OSError, ssl.SSLError, yaml.YAMLError...) are translated into these at the boundary, once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class ProxydError(Exception):
    """Every error that proxyd raises on purpose."""


# --- configuration ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands; line and column count from 1, 0 when unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Render as ``file:line:column``, or as ``file`` where no line is known."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: where, what, and what would be right.

    ``path`` is the way to it in the document (``services[2].routes[0].paths[1]``), ``hint`` what would be right.
    """

    place: Place
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Render as one line: ``file:line:column: path: message (hint)``."""
        middle = f"{self.path}: " if self.path else ""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.place}: {middle}{self.message}{tail}"


class ConfigError(ProxydError):
    """A configuration was refused; ``problems`` holds every reason, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


# --- templates and what they write -----------------------------------------------------------------------


class RenderError(ProxydError):
    """A template asks for what Lua does not do; the text holds no value, for one may be secret."""


class UnsendableError(RenderError):
    """What a template makes of a request cannot stand where it is put: a line end in a header, ``..`` in a path."""


# --- protocol --------------------------------------------------------------------------------------------


class ProtocolError(ProxydError):
    """The peer's bytes are not strict HTTP/1.1; answer ``status`` and close. ``reason`` is for the log.

    ``message`` is for the client where a policy was broken and not the protocol.
    """

    def __init__(self, reason: str, status: int = 400, message: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.message = message


# --- forwarding ------------------------------------------------------------------------------------------


class Source(enum.Enum):
    """Who is at fault."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class Retry(enum.Enum):
    """Whether another try is safe."""

    NEVER = "never"
    IF_REUSED = "if_reused"  # a pooled connection went stale: safe for idempotent methods only
    SAFE = "safe"  # nothing was sent


class Kind(enum.Enum):
    """What went wrong between the gateway and its upstream, as logs and metrics name it."""

    NO_TARGET = "no_target"
    NAME_RESOLUTION = "name_resolution"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    RESET = "reset"
    READ_TIMEOUT = "read_timeout"
    WRITE_TIMEOUT = "write_timeout"
    BAD_RESPONSE = "bad_response"
    OVERLOADED = "overloaded"
    CIRCUIT_OPEN = "circuit_open"
    INTERNAL = "internal"


# kind -> (status, who, retry): the one place where a status is chosen for a failed forward.
_DISPOSITION: dict[Kind, tuple[int, Source, Retry]] = {
    Kind.NO_TARGET: (503, Source.UPSTREAM, Retry.NEVER),
    Kind.NAME_RESOLUTION: (503, Source.UPSTREAM, Retry.SAFE),
    Kind.CONNECT_REFUSED: (502, Source.UPSTREAM, Retry.SAFE),
    Kind.CONNECT_TIMEOUT: (504, Source.UPSTREAM, Retry.SAFE),
    Kind.CONNECT_FAILED: (502, Source.UPSTREAM, Retry.SAFE),
    Kind.TLS_FAILED: (502, Source.UPSTREAM, Retry.SAFE),
    Kind.RESET: (502, Source.UPSTREAM, Retry.IF_REUSED),
    Kind.READ_TIMEOUT: (504, Source.UPSTREAM, Retry.NEVER),
    Kind.WRITE_TIMEOUT: (504, Source.UPSTREAM, Retry.NEVER),
    Kind.BAD_RESPONSE: (502, Source.UPSTREAM, Retry.NEVER),
    Kind.OVERLOADED: (503, Source.GATEWAY, Retry.NEVER),
    Kind.CIRCUIT_OPEN: (503, Source.UPSTREAM, Retry.NEVER),
    Kind.INTERNAL: (500, Source.GATEWAY, Retry.NEVER),
}


@dataclass(eq=False)
class GatewayError(ProxydError):
    """A request could not be carried. ``cause`` is for the log and never reaches a body.

    ``retry_after`` is in how many seconds the client may try again, 0 where nobody knows.
    """

    kind: Kind
    cause: str = ""
    retry_after: int = 0
    status: int = field(init=False)
    source: Source = field(init=False)
    retry: Retry = field(init=False)

    def __post_init__(self) -> None:
        self.status, self.source, self.retry = _DISPOSITION[self.kind]
        super().__init__(f"{self.kind.value}: {self.cause}" if self.cause else self.kind.value)
