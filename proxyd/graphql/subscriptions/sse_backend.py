"""A backend that speaks server-sent events, as a source: each operation is a request of its own, answered by a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxyd.errors import GatewayError
from proxyd.graphql.subscriptions.sse import MAX_EVENT, MEDIA_TYPE, EventReader
from proxyd.http1.message import RequestHead

if TYPE_CHECKING:
    from proxyd.carrier import Call, Pipe, Way
    from proxyd.exchange import Reply
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.subscriptions.source import Holder, Listener
    from proxyd.http1.message import ResponseHead

OK = 200
TRY_AGAIN = 1012  # what a client's WebSocket is closed with when its backend is away: it may come back
_JSON = b"application/graphql-response+json, application/json"

# What is of the client's own request, and not of its operation.
_LEFT_OUT = (
    b"accept",
    b"accept-encoding",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"last-event-id",
    b"sec-websocket-accept",
    b"sec-websocket-extensions",
    b"sec-websocket-key",
    b"sec-websocket-protocol",
    b"sec-websocket-version",
    b"x-graphql-event-stream-token",
)


def errors_of(message: str, code: str) -> bytes:
    """Return a list of one error, as JSON."""
    return orjson.dumps([{"message": message, "extensions": {"code": code}}])


def wire_body(asked: Asked, operation: Operation) -> bytes:
    """Return the request that asks for an operation, with its document in full."""
    members: dict[str, Any] = {"query": operation.document.text}
    if asked.name:
        members["operationName"] = asked.name
    if asked.variables:
        members["variables"] = asked.variables
    extensions = {
        name: value
        for name, value in asked.extensions.items()
        if name not in {"persistedQuery", "operationId"}
    }
    if extensions:
        members["extensions"] = extensions
    return orjson.dumps(members)


class EventBackend:
    """Implements ``Source``.

    ``alone`` tells that it is made for one operation, whose loss is the source's: then the holder hears of it.
    """

    __slots__ = ("_alone", "_holder", "_limit", "_running", "_way")

    def __init__(self, way: Way, holder: Holder, limit: int = MAX_EVENT, *, alone: bool = False) -> None:
        self._way = way
        self._holder = holder
        self._limit = limit
        self._alone = alone
        self._running: set[Running] = set()

    def __repr__(self) -> str:
        return f"<EventBackend running={len(self._running)}>"

    def open(self, payload: bytes) -> None:
        """Be open: there is nothing to open before an operation is asked for."""
        self._holder.opened(payload[:0])

    def subscribe(self, asked: Asked, operation: Operation, listener: Listener) -> Running:
        """Ask for an operation; what has one result is answered by JSON, as by any request."""
        running = Running(self, listener, self._limit)
        self._running.add(running)
        streams = operation.type == "subscription"
        body = wire_body(asked, operation)
        running.start(self._way.ask(self._request(MEDIA_TYPE if streams else _JSON), body, running))
        return running

    def _request(self, accept: bytes) -> RequestHead:
        asking = self._way.exchange.request
        headers = asking.headers.copy()
        for name in _LEFT_OUT:
            headers.remove(name)
        headers.set(b"Accept", accept)
        headers.set(b"Content-Type", b"application/json")
        return RequestHead("POST", asking.path, asking.path, "", 1, asking.host, headers, 0, keep_alive=True)

    def close(self) -> None:
        """End them all."""
        for running in tuple(self._running):
            running.stop()

    def forget(self, running: Running) -> None:
        """Hear that an operation is over."""
        self._running.discard(running)

    def lose(self, running: Running, reason: str) -> None:
        """Hear that an operation's connection is lost."""
        self.forget(running)
        if self._alone:
            self._holder.lost(TRY_AGAIN, reason)
        else:
            running.listener.failed(errors_of(reason, "UPSTREAM_UNAVAILABLE"))


class Running:
    """One operation under way; implements ``Subscription``, and ``Receiver`` of its answer."""

    __slots__ = ("_backend", "_body", "_call", "_limit", "_over", "_reader", "_status", "listener")

    def __init__(self, backend: EventBackend, listener: Listener, limit: int) -> None:
        self.listener = listener
        self._backend = backend
        self._limit = limit
        self._call: Call | None = None
        self._reader: EventReader | None = None
        self._body = bytearray()  # of an answer that is no stream
        self._status = 0
        self._over = False

    def __repr__(self) -> str:
        state = "over" if self._over else "streaming" if self._reader else "waiting"
        return f"<Running {state}>"

    def start(self, call: Call) -> None:
        """Take the call, which may be over already."""
        self._call = None if self._over else call

    # --- as a subscription -----------------------------------------------------------------------------------

    def pause(self) -> None:
        """Read no more of the answer for now."""
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        """Read on."""
        if self._call is not None:
            self._call.resume()

    def stop(self) -> None:
        """Give the request up."""
        self._over = True
        self._backend.forget(self)
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    # --- as a receiver ---------------------------------------------------------------------------------------

    def head(self, head: ResponseHead) -> None:
        """See whether the answer is a stream."""
        self._status = head.status
        if head.status == OK and (head.headers.get(b"content-type") or b"").lower().startswith(MEDIA_TYPE):
            self._reader = EventReader(self._limit)

    def data(self, data: bytes) -> None:
        """Take events, or a piece of an answer that is none."""
        if self._over:
            return
        if self._reader is None:
            if len(self._body) + len(data) > self._limit:
                self._lose("The backend's answer is too large")
            else:
                self._body += data
            return
        try:
            events = self._reader.feed(data)
        except GatewayError:
            self._lose("The backend's answer is too large")
            return
        for kind, payload in events:
            if not self._take(kind, payload):
                return

    def _take(self, kind: bytes, payload: bytes | None) -> bool:
        """Take an event, and return whether to go on."""
        if kind == b"complete":
            self.stop()
            self.listener.completed()
        elif payload is not None and kind in {b"next", b"message"}:
            if _read(payload) is None:
                self._lose("The backend's answer is not GraphQL")
            else:
                self.listener.next(payload)
        return not self._over

    def end(self) -> None:
        """Take the end of the answer, which is the end of results only where one was announced."""
        if self._over:
            return
        self._call = None
        if self._reader is not None:
            self._lose("The backend has ended the stream")
            return
        payload = bytes(self._body)
        members = _read(payload)
        if members is None:
            self._lose(f"The backend has answered with status {self._status}")
            return
        errors = members.get("errors")
        if errors and members.get("data") is None:
            self.stop()
            self.listener.failed(orjson.dumps(errors))
            return
        self.listener.next(payload)
        if not self._over:
            self.stop()
            self.listener.completed()

    def failed(self, reply: Reply) -> None:
        """Hear that there is no answer, or no more of it."""
        del reply
        self._call = None
        self._lose(
            "The backend cannot be reached" if self._reader is None else "The backend has cut the stream"
        )

    def switched(self, head: ResponseHead, pipe: Pipe) -> Pipe:
        """Never: no tunnel is asked for."""
        raise NotImplementedError

    def writable(self, writable: bool) -> None:
        """Never, for the same reason."""

    def _lose(self, reason: str) -> None:
        if self._over:
            return
        self.stop()
        self._backend.lose(self, reason)


def _read(payload: bytes) -> dict[str, Any] | None:
    try:
        members = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return members if isinstance(members, dict) else None
