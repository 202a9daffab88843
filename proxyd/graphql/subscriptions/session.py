"""The client's side of a WebSocket of GraphQL: from its handshake to its close frame.

Where connection_init authenticates, the WebSocket is taken before authentication (``early``): what it says becomes headers,
and then the access phases run on the very handshake. Otherwise they have run when it is taken.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from proxyd.graphql.subscriptions import handshake, outcomes
from proxyd.graphql.subscriptions.credentials import passed_on
from proxyd.graphql.subscriptions.frames import NORMAL, TOO_BIG, Broken, Closed, Frames, Ping
from proxyd.graphql.subscriptions.operations import Operations
from proxyd.graphql.subscriptions.protocols import (
    ALREADY_EXISTS,
    BAD_REQUEST,
    INIT_TIMEOUT,
    SERVER_ERROR,
    TOO_MANY_INITS,
    UNAUTHORIZED,
    Kind,
)
from proxyd.graphql.subscriptions.timing import Timing

if TYPE_CHECKING:
    from proxyd.carrier import Pipe, Way
    from proxyd.exchange import Exchange, Reply
    from proxyd.graphql.subscriptions.protocols import Protocol, Request
    from proxyd.graphql.subscriptions.sockets import Sockets

# The states, in their order.
OPENING, SILENT, BEGUN, READY, CLOSING, OVER = range(6)
# Why a client is not read from: it takes nothing, it asks before it is acknowledged, its backend takes nothing.
SLOW, EAGER, BACKEND = 1, 2, 4
_STATES = ("opening", "silent", "begun", "ready", "closing", "over")


class Session:
    """A ``carrier.Carrier``, the pipe of its client's bytes, the holder of its source, and whom operations answer."""

    def __init__(self, sockets: Sockets, exchange: Exchange, protocol: Protocol, *, early: bool) -> None:
        settings = sockets.settings
        self.exchange = exchange
        self.protocol = protocol
        self.begun: asyncio.Future[None] | None = None  # what authentication waits for, where it does
        self._loop = asyncio.get_running_loop()
        if early:
            self.begun = self._loop.create_future()
        self._sockets = sockets
        self._way: Way
        self._pipe: Pipe | None = None
        self._state = OPENING
        self._received = b""  # before there was a pipe
        self._outgoing: list[bytes] = []  # frames of this turn of the loop
        self._waiting: list[Request] = []  # operations that came before the acknowledgement
        self._frames = Frames(settings.max_message_size, masked=False, rate=settings.max_message_rate)
        self._operations = Operations(sockets.rules, exchange, self)
        self._payload = b""
        self._deaf = 0  # why the client is not read from
        self._timing: Timing

    def __repr__(self) -> str:
        return f"<Session {_STATES[self._state]} {self.protocol.name} operations={len(self._operations)}>"

    def belongs_to(self, sockets: Sockets) -> None:
        """Hear which instance is the one for this consumer."""
        self._sockets = sockets
        self._operations.rules = sockets.rules

    # --- a carrier's life ------------------------------------------------------------------------------------

    def meet(self, way: Way) -> None:
        """Take the way, and the WebSocket at once where authentication is to come out of it."""
        self._way = way
        self._timing = Timing(way, self, self._sockets.settings)
        if self.begun is not None:
            self._switch()

    def carry(self) -> None:
        """Go on behind the phases, if nothing has ended it meanwhile."""
        if self._state >= CLOSING:
            return
        self._timing.expire_at(self.exchange, self._sockets.clock.time())
        if self.begun is None:
            self._switch()
        elif self._state == BEGUN:
            try:
                self._open()
            except Exception as error:  # noqa: BLE001  # whatever it is, the client is told by a close frame
                outcomes.log_failure(self.exchange, error)
                self.close(*outcomes.UNREACHABLE)

    def refuse(self, reply: Reply) -> None:
        """Tell the client that authentication, or another phase, has refused what it said."""
        self.exchange.refusal = (
            self.exchange.refusal or f"graphql: connection_init is answered with {reply.status}"
        )
        self.close(*outcomes.of_status(reply.status))

    def leave(self) -> None:
        """Send the client elsewhere: the process is about to end."""
        self.close(*outcomes.LEAVING)

    def gone(self) -> None:
        """Hear that there is no client any more."""
        self._over()

    def writable(self, writable: bool) -> None:
        """Have results wait while the client is slow, and everything that it asks for."""
        self._operations.pause(not writable)
        self._timing.slow(not writable)
        self._listen(SLOW, writable)

    def _switch(self) -> None:
        self._pipe = self._way.switch(handshake.agreement(self.exchange.headers, self.protocol), self)
        if self._pipe is None:  # a filter has answered in its place
            self._over()
            return
        self._state = SILENT
        self._timing.begin()
        if self._received:
            received, self._received = self._received, b""
            self.write(received)

    # --- what the client sends -------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Take the client's bytes."""
        if self._pipe is None:
            self._received += data
            return
        self._timing.heard()
        try:
            for event in self._frames.feed(data, self._way.now()):
                if isinstance(event, Closed):
                    self._hear_close(event)
                elif self._state >= CLOSING:
                    continue
                elif isinstance(event, bytes):
                    self._take(event)
                elif isinstance(event, Ping):
                    self._put(self._frames.pong(event.payload))
        except Broken as broken:
            self._break(broken)
        except Exception as error:  # noqa: BLE001  # whatever it is, nothing is let pass
            outcomes.log_failure(self.exchange, error)
            self._break(Broken(SERVER_ERROR, "Internal server error"))

    def _break(self, broken: Broken) -> None:
        if self._state >= CLOSING:
            self._finish()
        else:
            self.exchange.refusal = self.exchange.refusal or f"graphql: {broken.reason}"
            self.close(broken.code, broken.reason)

    def _take(self, message: bytes) -> None:
        settings = self._sockets.settings
        request = self.protocol.read_request(message, settings.max_id_length)
        kind = request.kind
        if kind is Kind.INIT:
            if request.size > settings.max_init_size:
                raise Broken(TOO_BIG, "connection_init is too big")
            self._begin(request)
        elif kind is Kind.SUBSCRIBE:
            self._subscribe(request)
        elif kind is Kind.COMPLETE:
            if self._waiting:
                self._waiting = [one for one in self._waiting if one.id != request.id]
            self._operations.stop(request.id)
        elif kind is Kind.PING:
            self._send(self.protocol.pong(b"" if request.payload is None else orjson.dumps(request.payload)))
        elif kind is Kind.TERMINATE:
            self.close(NORMAL, "")

    def _begin(self, request: Request) -> None:
        """Take connection_init."""
        if self._state != SILENT:
            raise Broken(TOO_MANY_INITS, "Too many initialisation requests")
        self._state = BEGUN
        self._timing.initialised()
        self._payload = passed_on(request.payload, self._sockets.settings)
        if self.begun is None:
            self._open()
        elif self._sockets.credentials.put(request.payload, self.exchange.headers):
            self.begun.set_result(None)
        else:
            raise Broken(BAD_REQUEST, "Credentials must be texts that a header may hold")

    def _open(self) -> None:
        source = self._sockets.make_source(self._way, self, self.protocol)
        self._operations.source = source
        source.open(self._payload)
        self._payload = b""

    def _subscribe(self, request: Request) -> None:
        if self._state == BEGUN and self.protocol.queues:
            if len(self._waiting) >= self._sockets.rules.per_connection:
                raise Broken(BAD_REQUEST, "Too many operations before connection_ack")
            self._waiting.append(request)
            self._listen(EAGER, False)
        elif self._state != READY:
            raise Broken(UNAUTHORIZED, "Unauthorized")
        else:
            self._start(request)

    def _start(self, request: Request) -> None:
        if request.id in self._operations:
            if not self.protocol.queues:
                raise Broken(ALREADY_EXISTS, f"Subscriber for {request.id} already exists")
            self._operations.stop(request.id)  # which is what servers of the older protocol do
        self._operations.start(request)

    def _listen(self, why: int, listening: bool) -> None:
        """Read from the client, or have it wait, for as long as there is any reason to."""
        before, self._deaf = self._deaf, self._deaf & ~why if listening else self._deaf | why
        if bool(before) is bool(self._deaf) or self._state >= OVER:
            return
        if listening:
            self._timing.heard()
            self._way.resume()
        else:
            self._way.pause()
        self._timing.deaf = not listening

    # --- what the source says --------------------------------------------------------------------------------

    def opened(self, payload: bytes) -> None:
        """Acknowledge, and begin what has come meanwhile."""
        if self._state != BEGUN:
            return
        self._state = READY
        self._send(self.protocol.acknowledge(payload))
        self.ask_whether_alive()
        waiting, self._waiting = self._waiting, []
        self._listen(EAGER, True)
        for request in waiting:
            if self._state == READY:
                self._start(request)

    def lost(self, code: int, reason: str) -> None:
        """Close: the client is to come back, where that may help."""
        self.close(code, self._sockets.rules.watching.reason(code, reason))

    def backend_writable(self, writable: bool) -> None:
        """Have the client wait while the backend is slow."""
        self._listen(BACKEND, writable)

    # --- what the client is sent -----------------------------------------------------------------------------

    def send_next(self, identity: bytes, payload: bytes) -> None:
        """Send a result."""
        self._send(self.protocol.next(identity, payload))

    def send_error(self, identity: bytes, errors: bytes) -> None:
        """Send the errors that an operation ends with."""
        self._send(self.protocol.error(identity, errors))

    def send_complete(self, identity: bytes) -> None:
        """Send an operation's end."""
        self._send(self.protocol.complete(identity))

    def ask_whether_alive(self, *, ping: bool = False) -> None:
        """Ping the client, and tell those of the older protocol that the gateway is there."""
        if self._pipe is not None and self._state < CLOSING:
            if ping:
                self._put(self._frames.ping())
            if self.protocol.alive and self._state == READY:
                self._send(self.protocol.alive)

    def _put(self, frame: bytes) -> None:
        """Have a frame sent together with those of the same turn of the loop: a chunk may hold many results."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(frame)

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._pipe is not None:
            self._pipe.write(b"".join(outgoing))

    def _send(self, message: bytes) -> None:
        if self._pipe is not None and self._state < CLOSING:
            self._put(self._frames.text(message))

    # --- the end ---------------------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Say why this is the end, and wait a little for the client to agree."""
        if self._state >= CLOSING or self._pipe is None:
            return
        if code != NORMAL and (refusal := self.protocol.refusal(reason)) and self._state < READY:
            self._send(refusal)
        self._state = CLOSING
        self._waiting.clear()
        self._operations.close()
        self._put(self._frames.close(code, reason))
        self._listen(self._deaf, True)  # to its answer
        self._timing.closing()

    def _hear_close(self, event: Closed) -> None:
        if self._state < CLOSING and self._pipe is not None:
            self._put(self._frames.close(event.code))
        self._finish()

    def end(self) -> None:
        """Hear that the client sends no more."""
        self._finish()

    def _finish(self) -> None:
        if self._state != OVER:
            self._state = OVER
            self._flush()
            self._way.close()
            self._over()

    def cut(self, why: str) -> None:
        """Give up on a client that cannot be told."""
        self.exchange.refusal = self.exchange.refusal or f"graphql: {why}"
        self._state = OVER
        self._way.abort()
        self._over()

    def _over(self) -> None:
        self._state = OVER
        self._timing.end()
        self._waiting.clear()
        self._outgoing.clear()
        self._operations.close()
        if self.begun is not None and not self.begun.done():
            self.begun.set_result(None)  # the exchange is over: no phase runs any more

    def out_of_time(self) -> None:
        """Close on a client that has not said connection_init in time, or has not answered our close frame."""
        if self._state == CLOSING:
            self._finish()
        else:
            self.close(INIT_TIMEOUT, "Connection initialisation timeout")
