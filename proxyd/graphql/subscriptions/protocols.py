"""The two subprotocols of GraphQL over WebSocket: what their messages mean, and how they are written.

``graphql-transport-ws`` is the library graphql-ws's (its PROTOCOL.md), ``graphql-ws`` the older one of
subscriptions-transport-ws. Each is spoken with clients and with backends, whichever the other side speaks.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from proxyd.bodies.members import Member, Members
from proxyd.errors import ProtocolError
from proxyd.graphql.subscriptions.frames import Broken

if TYPE_CHECKING:
    from collections.abc import Mapping

# What connections are closed with, beside RFC 6455's codes: graphql-transport-ws's.
BAD_REQUEST = 4400
UNAUTHORIZED = 4401
FORBIDDEN = 4403
NO_SUBPROTOCOL = 4406
INIT_TIMEOUT = 4408
ALREADY_EXISTS = 4409
TOO_MANY_INITS = 4429
SERVER_ERROR = 4500


class Kind(Enum):
    """What a message is about, whatever the subprotocol calls it."""

    INIT = 1
    ACKNOWLEDGED = 2
    SUBSCRIBE = 3
    NEXT = 4
    ERROR = 5
    COMPLETE = 6  # from either side
    PING = 7
    PONG = 8
    TERMINATE = 9
    REFUSED = 10  # connection_init was
    ALIVE = 11


class Request(NamedTuple):
    """A message of a client; ``id`` is empty where it concerns the connection, ``payload`` None where there is none."""

    kind: Kind
    id: str
    payload: dict[str, Any] | None
    size: int  # bytes


class Result(NamedTuple):
    """A message of a backend; ``payload`` is JSON as it came, empty where there is none."""

    kind: Kind
    id: str
    payload: bytes


DEEPEST: Final = 200  # levels of a payload that are surely written again

# A message as servers write it, its payload last: then the payload is what stands before the last brace.
_ID_FIRST: Final = re.compile(
    rb'\{\s*"id"\s*:\s*"([^"\\]*)"\s*,\s*"type"\s*:\s*"(\w+)"\s*,\s*"payload"\s*:\s*'
)
_TYPE_FIRST: Final = re.compile(
    rb'\{\s*"type"\s*:\s*"(\w+)"\s*,\s*"id"\s*:\s*"([^"\\]*)"\s*,\s*"payload"\s*:\s*'
)


class Protocol:
    """One of the two."""

    def __init__(self, name: str, requests: Mapping[str, Kind], results: Mapping[str, Kind]) -> None:
        self.name = name
        self.token = name.encode()
        self._requests = requests
        self._results = results
        spelled = {kind: word for word, kind in (*requests.items(), *results.items())}
        self._next = spelled[Kind.NEXT].encode()
        self._subscribe = spelled[Kind.SUBSCRIBE].encode()
        self._stop = next(word for word, kind in requests.items() if kind is Kind.COMPLETE).encode()
        self.queues = Kind.PING not in requests.values()
        """Whether clients send operations before their connection is acknowledged: those of the older one do."""

    def __repr__(self) -> str:
        return f"<Protocol {self.name}>"

    # --- what clients send -----------------------------------------------------------------------------------

    def read_request(self, message: bytes, max_id: int) -> Request:
        """Read a client's message; raises Broken for what is none."""
        try:
            members = orjson.loads(message)
        except orjson.JSONDecodeError:
            raise Broken(BAD_REQUEST, "Messages are JSON") from None
        word = members.get("type") if isinstance(members, dict) else None
        kind = self._requests.get(word) if isinstance(word, str) else None
        if kind is None:
            raise Broken(BAD_REQUEST, "Unknown type of message")
        identity = ""
        if kind is Kind.SUBSCRIBE or kind is Kind.COMPLETE:
            identity = members.get("id")
            if not isinstance(identity, str) or not identity:
                raise Broken(BAD_REQUEST, "id must be a text that is not empty")
            if len(identity) > max_id:
                raise Broken(BAD_REQUEST, f"id is longer than {max_id} characters")
        payload = members.get("payload")
        if not isinstance(payload, dict) and (payload is not None or kind is Kind.SUBSCRIBE):
            raise Broken(BAD_REQUEST, "payload must be an object")
        if message.count(b"[") + message.count(b"{") > DEEPEST:
            _check_depth(payload)
        return Request(kind, identity, payload, len(message))

    def init(self, payload: bytes) -> bytes:
        """Write the message that begins."""
        return _written(b"connection_init", payload)

    def subscribe(self, identity: bytes, payload: bytes) -> bytes:
        """Write an operation's begin; ids are JSON here and below."""
        return b'{"id":%b,"type":"%b","payload":%b}' % (identity, self._subscribe, payload)

    def stop(self, identity: bytes) -> bytes:
        """Write its end, by the client."""
        return b'{"id":%b,"type":"%b"}' % (identity, self._stop)

    # --- what servers send -----------------------------------------------------------------------------------

    def read_result(self, message: bytes) -> Result | None:
        """Read a backend's message, None for one that means nothing; raises ValueError for what is no message."""
        match = _ID_FIRST.match(message)
        if match is not None:
            identity, word = match.groups()
        else:
            match = _TYPE_FIRST.match(message)
            if match is None:
                return self._read_any(message)
            word, identity = match.groups()
        payload = message[match.end() : -1].rstrip()
        try:
            orjson.loads(payload)  # if it is one value, nothing else stands there
        except orjson.JSONDecodeError:
            return self._read_any(message)
        if message[-1:] != b"}":
            raise ValueError("the end is missing")
        kind = self._results.get(word.decode())
        return None if kind is None else Result(kind, identity.decode(), payload)

    def _read_any(self, message: bytes) -> Result | None:
        try:
            members = Members(message)
        except (TypeError, ProtocolError) as error:
            raise ValueError(str(error)) from None
        values = {name: _last(members, name) for name in (b"type", b"id", b"payload")}
        kind = self._results.get(_text(values[b"type"]))
        if kind in {Kind.NEXT, Kind.ERROR} and not values[b"payload"]:
            raise ValueError("a result has no payload")
        return None if kind is None else Result(kind, _text(values[b"id"]), values[b"payload"])

    def acknowledge(self, payload: bytes) -> bytes:
        """Write that operations are taken from now on."""
        return _written(b"connection_ack", payload)

    def next(self, identity: bytes, payload: bytes) -> bytes:
        """Write a result."""
        return b'{"id":%b,"type":"%b","payload":%b}' % (identity, self._next, payload)

    def error(self, identity: bytes, errors: bytes) -> bytes:
        """Write the errors that an operation ends with, given as a list."""
        return b'{"id":%b,"type":"error","payload":%b}' % (identity, _one(errors) if self.queues else errors)

    def complete(self, identity: bytes) -> bytes:
        """Write an operation's end."""
        return b'{"id":%b,"type":"complete"}' % identity

    def pong(self, payload: bytes) -> bytes:
        """Write the answer to a ping, whoever sent it."""
        return _written(b"pong", payload)

    def refusal(self, reason: str) -> bytes:
        """Write why a connection is about to be closed, where there is a message for that; empty where there is none."""
        if not self.queues:
            return b""
        return _written(b"connection_error", orjson.dumps({"message": reason}))

    @property
    def alive(self) -> bytes:
        """What tells the client that there is somebody, empty for the newer one, which leaves that to WebSocket."""
        return b'{"type":"ka"}' if self.queues else b""


def _check_depth(payload: Any) -> None:
    """See that a payload can be passed on; raises Broken."""
    try:
        orjson.dumps(payload)
    except orjson.JSONEncodeError:
        raise Broken(BAD_REQUEST, "payload is nested too deeply") from None


def _written(word: bytes, payload: bytes) -> bytes:
    if payload:
        return b'{"type":"%b","payload":%b}' % (word, payload)
    return b'{"type":"%b"}' % word


def _last(members: Members, name: bytes) -> bytes:
    written = b""
    for one in members.named(name):
        if isinstance(one, Member):
            written = one.written
    return written


def _text(written: bytes) -> str:
    value = orjson.loads(written) if written else ""
    return value if isinstance(value, str) else ""


def _one(errors: bytes) -> bytes:
    """Return errors as the older protocol's clients expect them, which is one object."""
    listed = orjson.loads(errors)
    if len(listed) == 1:
        return errors.strip()[1:-1]
    message = listed[0].get("message", "") if listed and isinstance(listed[0], dict) else ""
    return orjson.dumps({"message": message, "errors": listed})


def listed(payload: bytes) -> bytes:
    """Return a backend's errors as a list: older ones send an object."""
    try:
        errors = orjson.loads(payload)
    except orjson.JSONDecodeError:
        errors = None
    if isinstance(errors, list):
        return payload
    if isinstance(errors, dict):
        inner = errors.get("errors")
        return orjson.dumps(inner) if isinstance(inner, list) and inner else b"[%b]" % payload
    return b'[{"message":"The operation has failed"}]'


TRANSPORT: Final = Protocol(
    "graphql-transport-ws",
    {
        "connection_init": Kind.INIT,
        "subscribe": Kind.SUBSCRIBE,
        "complete": Kind.COMPLETE,
        "ping": Kind.PING,
        "pong": Kind.PONG,
    },
    {
        "connection_ack": Kind.ACKNOWLEDGED,
        "next": Kind.NEXT,
        "error": Kind.ERROR,
        "complete": Kind.COMPLETE,
        "ping": Kind.PING,
        "pong": Kind.PONG,
    },
)
LEGACY: Final = Protocol(
    "graphql-ws",
    {
        "connection_init": Kind.INIT,
        "start": Kind.SUBSCRIBE,
        "stop": Kind.COMPLETE,
        "connection_terminate": Kind.TERMINATE,
    },
    {
        "connection_ack": Kind.ACKNOWLEDGED,
        "connection_error": Kind.REFUSED,
        "data": Kind.NEXT,
        "error": Kind.ERROR,
        "complete": Kind.COMPLETE,
        "ka": Kind.ALIVE,
    },
)
BY_NAME: Final = {one.name: one for one in (TRANSPORT, LEGACY)}
