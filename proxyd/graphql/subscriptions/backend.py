"""A source over one WebSocket to the backend, which belongs to one client, as its identity and its cookies do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxyd.graphql.subscriptions import handshake
from proxyd.graphql.subscriptions.frames import (
    NORMAL,
    PROTOCOL_ERROR,
    Broken,
    Closed,
    Frames,
    Ping,
)
from proxyd.graphql.subscriptions.outcomes import (
    INTERNAL,
    LOST,
    UNREACHABLE,
    log_failure,
    of_backend_close,
    of_status,
)
from proxyd.graphql.subscriptions.protocols import BY_NAME, FORBIDDEN, LEGACY, TRANSPORT, Kind, listed
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from proxyd.carrier import Call, Pipe, Way
    from proxyd.exchange import Reply
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.subscriptions.protocols import Protocol, Result
    from proxyd.graphql.subscriptions.settings import Subscriptions
    from proxyd.graphql.subscriptions.source import Holder, Listener
    from proxyd.http1.message import ResponseHead

BAD = 400  # the first status of a refusal
FAREWELL = 2.0  # seconds for the backend to answer our close frame

log = get_logger("graphql")


class Subscribed:
    """One operation at the backend; a ``source.Subscription``."""

    __slots__ = ("_paused", "_socket", "identity", "listener")

    def __init__(self, socket: BackendSocket, identity: str, listener: Listener) -> None:
        self._socket = socket
        self._paused = False
        self.identity = identity
        self.listener = listener

    def __repr__(self) -> str:
        return f"<Subscribed {self.identity}>"

    def pause(self) -> None:
        """Ask for no more results."""
        if not self._paused:
            self._paused = True
            self._socket.hold()

    def resume(self) -> None:
        """Take them again."""
        if self._paused:
            self._paused = False
            self._socket.let_go()

    def stop(self) -> None:
        """End it."""
        self.resume()
        self._socket.stop(self)


class BackendSocket:
    """Speaks with the backend for one client: a ``source.Source``, and both the receiver and the pipe of its tunnel.

    ``first`` is the subprotocol that is offered first, the client's own.
    """

    def __init__(
        self, way: Way, holder: Holder, settings: Subscriptions, first: Protocol = TRANSPORT
    ) -> None:
        self._way = way
        self._holder = holder
        self._settings = settings
        self._protocols = _offers(settings, first)
        self._protocol = first
        self._frames = Frames(settings.max_result_size, masked=True)
        self._call: Call | None = None
        self._pipe: Pipe | None = None
        self._proof = b""
        self._payload = b""
        self._open = False  # acknowledged
        self._closing = False  # nobody is told of anything any more
        self._operations: dict[str, Subscribed] = {}
        self._count = 0
        self._held = 0  # operations that are paused
        self._heard = False  # anything, since it was last asked for
        self._pinged = False
        self._writable = True
        self.deadline = 0.0
        self.slot = 0

    def __repr__(self) -> str:
        state = "closing" if self._closing else "open" if self._open else "opening"
        return f"<BackendSocket {state} {self._protocol.name} operations={len(self._operations)}>"

    # --- opening ---------------------------------------------------------------------------------------------

    def open(self, payload: bytes) -> None:
        """Dial, shake hands, and say connection_init."""
        self._payload = payload
        request, self._proof = handshake.ask(self._way.exchange, self._protocols)
        self._call = self._way.ask(request, None, self)

    def switched(self, head: ResponseHead, pipe: Pipe) -> Pipe:
        """Take the tunnel."""
        self._pipe = pipe
        protocol = handshake.agreed(head, self._proof, self._protocols)
        if protocol is None:
            self._fail(*UNREACHABLE, "the backend's handshake agrees to no subprotocol that was offered")
        else:
            self._protocol = protocol
            pipe.write(self._frames.text(protocol.init(self._payload)))
            self._watch()  # for the acknowledgement
        return self

    def head(self, head: ResponseHead) -> None:
        """Take an answer that is no tunnel: the backend refuses the handshake."""
        outcome = of_status(head.status) if head.status >= BAD else UNREACHABLE
        self._fail(*outcome, f"the backend answers a handshake with {head.status}")

    def data(self, data: bytes) -> None:
        """Read over its body."""

    def failed(self, reply: Reply) -> None:
        """Hear that there is no backend, or no more of it."""
        self._call = None
        self._fail(*(LOST if self._pipe is not None else of_status(reply.status)), "")

    # --- operations ------------------------------------------------------------------------------------------

    def subscribe(self, asked: Asked, operation: Operation, listener: Listener) -> Subscribed:
        """Begin an operation."""
        del operation
        self._count += 1
        one = Subscribed(self, str(self._count), listener)
        self._operations[one.identity] = one
        # What was examined, written anew: of a name that came twice, the backend might take the other.
        self._write(self._protocol.subscribe(b'"%d"' % self._count, orjson.dumps(asked.members)))
        return one

    def stop(self, one: Subscribed) -> None:
        """Tell the backend that nobody listens any more."""
        if self._operations.pop(one.identity, None) is not None and not self._closing:
            self._write(self._protocol.stop(b'"%b"' % one.identity.encode()))

    def hold(self) -> None:
        """Read no more, for as long as any operation is paused: their client is the same."""
        self._held += 1
        if self._held == 1 and self._call is not None and not self._closing:
            self._call.pause()

    def let_go(self) -> None:
        """Read on, once none is."""
        self._held -= 1
        if not self._held and self._call is not None and not self._closing:
            self._heard = True
            self._call.resume()

    # --- what the backend sends ------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Take the backend's bytes."""
        self._heard = True
        try:
            for event in self._frames.feed(data, 0.0):
                if isinstance(event, Closed):
                    self._hear_close(event)
                    return
                if self._closing:
                    continue
                if isinstance(event, bytes):
                    self._take(event)
                elif isinstance(event, Ping) and self._pipe is not None and self._writable:
                    self._pipe.write(self._frames.pong(event.payload))
        except Broken as broken:
            self._break(broken.code, broken.reason)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is not left waiting
            log_failure(self._way.exchange, error)
            self._break(INTERNAL, "Internal error")

    def _break(self, code: int, reason: str) -> None:
        """Close on a backend that does not keep to the protocol."""
        if self._closing:
            self._cut()
            return
        self._say_close(code, reason)
        self._fail(*UNREACHABLE, f"the backend breaks the protocol: {reason}")

    def _take(self, message: bytes) -> None:
        try:
            result = self._protocol.read_result(message)
        except ValueError:
            raise Broken(PROTOCOL_ERROR, "Malformed message") from None
        if result is None:
            return
        kind = result.kind
        if kind is Kind.NEXT:
            one = self._operations.get(result.id)
            if one is not None:
                one.listener.next(result.payload)
        elif kind is Kind.COMPLETE or kind is Kind.ERROR:
            self._end_operation(result)
        elif kind is Kind.PING and self._writable:
            self._write(self._protocol.pong(result.payload))
        elif kind is Kind.ACKNOWLEDGED:
            if not self._open:
                self._open = True
                self._watch()
                self._holder.opened(result.payload)
        elif kind is Kind.REFUSED:
            self._fail(FORBIDDEN, "Forbidden", "the backend refuses connection_init")

    def _end_operation(self, result: Result) -> None:
        one = self._operations.pop(result.id, None)
        if one is None:
            return
        one.resume()
        if result.kind is Kind.COMPLETE:
            one.listener.completed()
        else:
            one.listener.failed(listed(result.payload))

    def writable(self, writable: bool) -> None:
        """Hear whether the backend takes more; while it does not, its pings are not answered."""
        self._writable = writable
        if not self._closing:
            self._holder.backend_writable(writable)

    def _write(self, message: bytes) -> None:
        if self._pipe is not None and not self._closing:
            self._pipe.write(self._frames.text(message))

    # --- the end ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything in good order; nobody hears of it."""
        if self._closing:
            return
        self._closing = True
        self._operations.clear()
        if self._pipe is None:
            self._cut()
            return
        if self._held and self._call is not None:  # its answer has to be read
            self._call.resume()
        self._say_close(NORMAL, "")

    def _say_close(self, code: int, reason: str) -> None:
        if self._pipe is not None:
            self._pipe.write(self._frames.close(code, reason))
            self._way.watch(self, self._way.now() + FAREWELL)

    def _hear_close(self, event: Closed) -> None:
        if self._closing:  # that is the answer to ours
            self._cut()
            return
        if self._pipe is not None:
            self._pipe.write(self._frames.close(event.code))
            self._pipe.end()
        self._fail(*of_backend_close(event.code, event.reason), f"the backend closes with {event.code}")

    def end(self) -> None:
        """Hear that the backend's stream, its tunnel, or its answer has ended."""
        if self._closing:
            self._cut()
        else:
            self._fail(*LOST, "the backend's connection is gone")

    def _fail(self, code: int, reason: str, why: str) -> None:
        """Tell the holder that this is the end."""
        if self._closing:
            return
        self._closing = True
        self._operations.clear()
        if why:
            self._way.exchange.refusal = self._way.exchange.refusal or f"graphql: {why}"
            log.info(
                "subscriptions ended by the backend", request_id=self._way.exchange.request_id, reason=why
            )
        self._way.watch(self, self._way.now() + FAREWELL)
        self._holder.lost(code, reason)

    def _cut(self) -> None:
        self.deadline = 0.0
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    # --- time ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self._heard = self._pinged = False
        self._way.watch(self, self._way.now() + self._settings.ping_interval)

    def deadline_passed(self) -> None:
        """Ask a silent backend whether it is there, and give it up when it did not answer, or has never begun."""
        if self._closing:
            self._cut()
        elif not self._open:
            self._fail(*of_status(504), "the backend has not acknowledged connection_init in time")
        elif self._heard or self._held:
            self._watch()
        elif self._pinged:
            self._fail(*LOST, "the backend answers no ping")
            self._cut()
        elif self._pipe is not None:
            self._pipe.write(self._frames.ping())
            self._watch()
            self._pinged = True


def _offers(settings: Subscriptions, first: Protocol) -> tuple[Protocol, ...]:
    if settings.backend_protocol != "auto":
        return (BY_NAME[settings.backend_protocol],)
    return (first, LEGACY if first is TRANSPORT else TRANSPORT)
