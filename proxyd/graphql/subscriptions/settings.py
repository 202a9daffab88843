"""What is configured of subscriptions: the group ``subscriptions`` of the plugin's settings."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from proxyd import plugin
from proxyd.graphql.subscriptions.shared import Sharing
from proxyd.identity import IDENTITY_HEADERS
from proxyd.model.grammar import HeaderName

# What the gateway or the protocol writes: nobody's payload becomes one of these.
_RESERVED = re.compile(
    r"connection|content-.*|expect|forwarded|host|keep-alive|origin|proxy.*|sec-.*|te|trailer|transfer-encoding"
    r"|upgrade|via|x-(?:forwarded|kong|real)-.*"
)


def _check_header(name: str) -> str:
    lower = name.lower().replace("_", "-")
    if _RESERVED.fullmatch(lower) or lower.encode() in IDENTITY_HEADERS:
        raise ValueError("must be a header that clients may send: the gateway writes this one itself")
    return name


def _check_path(path: str) -> str:
    if not all(path.split(".")):
        raise ValueError("must be names joined by dots, such as headers.Authorization")
    return path


Credential = Annotated[HeaderName, AfterValidator(_check_header)]
Path = Annotated[str, AfterValidator(_check_path)]


class Events(plugin.Config):
    """How clients of server-sent events are served."""

    single_connection: bool = False
    """Whether streams can be reserved by PUT, for many operations each (the single connection mode of graphql-sse). Without, each operation has a connection."""
    token_secret: str | None = Field(None, min_length=32)
    """What the tokens of a backend's streams are bound by to who reserved them; has to be the same where several workers or gateways serve the route. One worker alone needs none."""
    max_reservations: int = Field(1000, ge=1)
    """Streams that the gateway keeps itself for a backend of WebSockets, open or reserved, for each process."""
    max_unopened: int = Field(20, ge=1)
    """Those of them that one consumer, or one address where nobody is known, has reserved and not opened."""
    reservation_timeout: float = Field(30.0, gt=0)
    """Seconds in which a stream that is reserved has to be opened."""
    keep_alive: float = Field(12.0, gt=0)
    """Seconds of silence after which a comment is sent on a stream that the gateway makes; those of the backend are passed on as they come."""


class Subscriptions(plugin.Config):
    """How WebSockets of GraphQL are served."""

    credentials: dict[Path, Credential] = Field({})
    """Fields of connection_init's payload, as dotted names in any case, and the headers that they become before authentication; empty: the handshake is what authenticates."""
    init_payload: Literal["pass", "listed", "drop"] = "pass"
    """What of connection_init's payload the backend is told."""
    init_fields: tuple[str, ...] = ()
    """The fields that it is told with `listed`."""
    max_init_size: int = Field(16_384, ge=2)
    """Bytes of the largest connection_init."""
    init_timeout: float = Field(3.0, gt=0)
    """Seconds in which a client has to send connection_init."""
    backend_protocol: Literal["auto", "graphql-transport-ws", "graphql-ws", "sse"] = "auto"
    """What the backend speaks: a subprotocol of WebSockets, or `sse`, server-sent events. `auto`: what its client does, of the subprotocols both, the client's first."""
    backend_path: str | None = Field(None, pattern=r"^/[^?#\s]*$")
    """Path at the backend where it serves subscriptions, if that is another; the service's path is not put before it."""
    other_protocols: Literal["refuse", "pass"] = "refuse"
    """What becomes of WebSockets that offer neither subprotocol: `pass` has them forwarded without being read."""
    max_operations: int = Field(100, ge=1)
    """Operations under way on one connection."""
    max_per_consumer: int | None = Field(None, ge=1)
    """Operations under way of one consumer or, where there is none, one credential, over all its connections."""
    max_message_size: int = Field(262_144, ge=1024)
    """Bytes of the largest message from a client."""
    max_result_size: int = Field(8_388_608, ge=1024)
    """Bytes of the largest message from the backend."""
    max_id_length: int = Field(128, ge=1)
    """Characters of an operation's id."""
    max_message_rate: int = Field(100, ge=1)
    """Frames per second from one client, with as many at once as two seconds allow."""
    ping_interval: float = Field(20.0, gt=0)
    """Seconds of silence after which either end is pinged, and as many again after which it is given up."""
    slow_timeout: float | None = Field(None, gt=0)
    """Seconds that a client may take nothing of what is sent; without, send_timeout counts."""

    events: Events = Events()
    """Server-sent events."""
    shared: Sharing = Sharing()
    """Subscriptions of public data, which many clients hear and the backend is asked for once."""

    @model_validator(mode="after")
    def _shares_with_one(self) -> Self:
        if self.shared.on and self.backend_protocol == "auto":
            raise ValueError(
                "shared needs backend_protocol: the gateway asks for itself, and has to know how"
            )
        return self

    @model_validator(mode="after")
    def _lists_what_it_passes(self) -> Self:
        if self.init_fields and self.init_payload != "listed":
            raise ValueError("init_fields are for init_payload: listed")
        return self
