"""Requests that the gateway makes of its own: sent and balanced like a client's, and answered to whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.exchange import Client, Exchange, Reply
from proxyd.gateway.forward import Forwarder
from proxyd.gateway.marks import Marks
from proxyd.gateway.reply import MESSAGES
from proxyd.telemetry.trace import new_request_id

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Iterable

    from proxyd.carrier import Pipe, Receiver
    from proxyd.clock import Watched
    from proxyd.gateway.route import CompiledRoute
    from proxyd.gateway.sink import BodyReceiver, ClientOwner, ClientSink
    from proxyd.gateway.tasks import Tasks
    from proxyd.http1.message import RequestHead

_NOBODY = Client("", 0, "http", 0)  # whom a request outside of any exchange comes from


class Asker:
    """Makes requests; one per gateway."""

    def __init__(self, now: Callable[[], float], tasks: Tasks, *, send_request_id: bool = True) -> None:
        self._now = now
        self._forwarder = Forwarder(
            now, tasks, Marks((), now), _failed, _unrecorded, send_request_id=send_request_id
        )

    def ask(
        self,
        route: CompiledRoute,
        request: RequestHead,
        body: bytes | None,
        receiver: Receiver,
        *,
        whole_path: bool = False,
    ) -> Asked:
        """Ask a route's service, outside of any client's request."""
        exchange = Exchange(request, _NOBODY, self._now())
        exchange.request_id = new_request_id()
        exchange.replaced_path = request.path if whole_path else route.join("", request.path)
        return self._start(exchange, route.bare(), body, receiver)

    def ask_for(
        self,
        asking: Exchange,
        route: CompiledRoute,
        request: RequestHead,
        body: bytes | None,
        receiver: Receiver,
    ) -> Asked:
        """Ask an exchange's upstream, as ``carrier.Way`` says."""
        exchange = Exchange(request, asking.client, self._now())
        exchange.client_ip = asking.client_ip
        exchange.scheme = asking.scheme
        exchange.request_id = asking.request_id
        exchange.traceparent = asking.traceparent
        exchange.matched_prefix = asking.matched_prefix
        exchange.captures = asking.captures
        exchange.consumer = asking.consumer
        exchange.credential = asking.credential
        exchange.repeatable = asking.repeatable
        exchange.replaced_path = asking.replaced_path
        exchange.replaced_host = asking.replaced_host
        return self._start(exchange, route.bare(), body, receiver)

    def _start(
        self, exchange: Exchange, route: CompiledRoute, body: bytes | None, receiver: Receiver
    ) -> Asked:
        request = exchange.request
        request.minor = 0  # so that the answer's body comes without framing, and no interim answers
        request.framing = len(body) if body else 0
        if body is not None:  # the head may be a copy of a client's, who says of another body how long it is
            request.headers.set(b"Content-Length", b"%d" % len(body))
        exchange.route = route.route
        exchange.service = route.entity
        exchange.buffered = body
        asked = Asked(exchange, receiver)
        self._forwarder.start(exchange, route, asked)
        return asked


class Services:
    """What plugins ask the services of a generation through, outside of any client's request; a ``carrier.Caller``."""

    def __init__(self, asker: Asker) -> None:
        self.routes: dict[str, CompiledRoute] = {}  # one of each service, by the service's id
        self._services: dict[str, str] = {}  # the id of its service, by a route's
        self._asker = asker

    def __repr__(self) -> str:
        return f"<Services {len(self.routes)}>"

    def know(self, routes: Iterable[CompiledRoute]) -> None:
        """Take the routes of the generation."""
        leading = [(route, route.entity) for route in routes if route.entity is not None]
        self.routes = {service.id: route for route, service in leading}
        self._services = {route.route.id: service.id for route, service in leading}

    def service_of(self, route: str | None, service: str | None) -> tuple[str, str] | None:
        """Return the service that a scope leads to."""
        identity = self._services.get(route) if route is not None else service
        found = self.routes.get(identity or "")
        if found is None or found.entity is None:
            return None
        return found.entity.id, found.entity.name or found.entity.id

    def ask(
        self,
        service: str,
        request: RequestHead,
        body: bytes | None,
        receiver: Receiver,
        *,
        whole_path: bool = False,
    ) -> Asked:
        """Ask a service."""
        return self._asker.ask(self.routes[service], request, body, receiver, whole_path=whole_path)


def _failed(exchange: Exchange, route: CompiledRoute | None, sink: ClientSink, reply: Reply) -> None:
    del exchange, route
    assert isinstance(sink, Asked)  # noqa: S101  # this forwarder has no other
    sink.fail(reply)


def _unrecorded(_exchange: Exchange, _route: CompiledRoute | None) -> None:
    """Record nothing: what a client has asked for is what counts."""


class Asked:
    """One such request, standing where a client's sink would; implements ``carrier.Call``."""

    __slots__ = ("_exchange", "_owner", "_receiver", "_responding")

    def __init__(self, exchange: Exchange, receiver: Receiver) -> None:
        self._exchange = exchange
        self._receiver: Receiver | None = receiver
        self._owner: ClientOwner | None = None
        self._responding = False

    def __repr__(self) -> str:
        return f"<Asked {self._exchange!r}>"

    # --- what the carrier does -------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading its answer."""
        if self._owner is not None and self._receiver is not None:
            self._owner.client_writable(False)

    def resume(self) -> None:
        """Read on."""
        if self._owner is not None and self._receiver is not None:
            self._owner.client_writable(True)

    def cancel(self) -> None:
        """Give it up."""
        if self._receiver is not None:
            self._receiver = None
            if self._owner is not None:
                self._owner.client_gone()

    @property
    def leaving(self) -> bool:
        """Whether streams have been told to end: whoever asks has a client to be told by."""
        return False

    # --- what the relay does ---------------------------------------------------------------------------------

    def attach(self, owner: ClientOwner) -> None:
        """Name the relay."""
        self._owner = owner

    def request_body(self, receiver: BodyReceiver) -> None:
        """Have nothing to hand over: a body is complete before it is sent."""

    def pause_body(self) -> None:
        """Hear that the upstream is slow to take a tunnel's bytes."""
        if self._receiver is not None:
            self._receiver.writable(False)

    def resume_body(self) -> None:
        """Hear that it takes them again."""
        if self._receiver is not None:
            self._receiver.writable(True)

    def will_keep_alive(self) -> bool:
        """Let the relay be."""
        return True

    def settle_body(self) -> bool:
        """The same."""
        return True

    def read(self, limit: int) -> Future[bytes]:
        """Never: no phase runs."""
        raise NotImplementedError

    def watch(self, thing: Watched, deadline: float) -> None:
        """Never: whoever asks has a client to watch for."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Leave out the head by which a client would learn of its tunnel."""

    def write_informational(self, head: bytes) -> None:
        """Leave out interim answers."""

    def hold(self, data: bytes) -> None:
        """Take the head, which is known in a better form, or a piece of the body."""
        if self._receiver is None:
            return
        if self._responding:
            self._receiver.data(data)
        else:
            self._responding = True
            assert self._exchange.response is not None  # noqa: S101  # it is what the relay is about to send
            self._receiver.head(self._exchange.response)

    def flush(self) -> None:
        """Have nothing held."""

    def finish(self) -> None:
        """Pass the end on."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.end()

    def abort(self) -> None:
        """Pass on that the rest will not come."""
        error = self._exchange.error
        status = error.status if error is not None else 502
        self.fail(Reply(status, MESSAGES.get(status, ""), fault=True))

    def fail(self, reply: Reply) -> None:
        """Pass a failure on."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.failed(reply)

    def tunnel(self, other: Pipe) -> Pipe:
        """Hand the tunnel over."""
        assert self._receiver is not None  # noqa: S101  # who has cancelled has no relay any more
        assert self._exchange.response is not None  # noqa: S101  # the 101
        return self._receiver.switched(self._exchange.response, other)
