"""Which source a client gets: by what its backend speaks, at which path, alone or with others."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from proxyd.clock import DeadlineWheel
from proxyd.exchange import Client, Exchange
from proxyd.graphql.subscriptions.backend import BackendSocket
from proxyd.graphql.subscriptions.protocols import TRANSPORT
from proxyd.graphql.subscriptions.shared import Shares
from proxyd.graphql.subscriptions.shared_source import SharedSource
from proxyd.graphql.subscriptions.sse_backend import EventBackend
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxyd.carrier import Call, Receiver, Way
    from proxyd.clock import Watched
    from proxyd.graphql.document import Operation
    from proxyd.graphql.steps import Step
    from proxyd.graphql.subscriptions.protocols import Protocol
    from proxyd.graphql.subscriptions.settings import Subscriptions
    from proxyd.graphql.subscriptions.source import Holder, Source
    from proxyd.plugin import Kit

_NOBODY = Client("", 0, "http", 0)  # whom a subscription is of that many share


class Sources:
    """Makes them; one per plugin instance."""

    def __init__(self, settings: Subscriptions, kit: Kit) -> None:
        self._settings = settings
        self._path = settings.backend_path or ""
        self._speaks_events = settings.backend_protocol == "sse"
        self._kit = kit
        self._shares = Shares(settings.shared, self._for_all, self._target) if settings.shared.on else None
        self.steps: list[Step] = self._shares.steps if self._shares is not None else []
        self._wheel: DeadlineWheel | None = None  # for what no client's way can watch

    def __repr__(self) -> str:
        return f"<Sources {'sse' if self._speaks_events else 'websocket'} {self._shares!r}>"

    def open(self, way: Way, holder: Holder, protocol: Protocol = TRANSPORT) -> Source:
        """Return the source of one client, who speaks the protocol, or none of WebSockets."""
        if self._path:
            way = cast("Way", At(way, self._path))
        if self._shares is None:
            return self._own(way, holder, protocol=protocol)
        return SharedSource(self._shares, way.exchange, holder, partial(self._own, way, protocol=protocol))

    def shares(self, operation: Operation) -> bool:
        """Tell whether an operation is shared."""
        return self._shares is not None and self._shares.shares(operation)

    def stop(self) -> None:
        """Share nothing new: the generation is over."""
        if self._shares is not None:
            self._shares.stop()

    def _own(
        self, way: Way, holder: Holder, *, alone: bool = False, protocol: Protocol = TRANSPORT
    ) -> Source:
        if self._speaks_events:
            return EventBackend(way, holder, self._settings.max_result_size, alone=alone)
        return BackendSocket(way, holder, self._settings, protocol)

    # --- for everybody ---------------------------------------------------------------------------------------

    def _target(self, exchange: Exchange) -> tuple[str, str, str]:
        """Return what tells the backend of an exchange from others: its service, its path and its host."""
        assert exchange.service is not None  # noqa: S101  # no route is without one
        path = self._path or self._kit.upstream_target(exchange).partition("?")[0]
        return exchange.service.id, path, exchange.replaced_host or exchange.request.host

    def _for_all(self, exchange: Exchange, vary: tuple[bytes, ...]) -> Callable[[Holder], Source]:
        """Return how a source is made that sends these headers of a client's, and nothing else of it."""
        service, path, host = self._target(exchange)
        headers = Headers()
        for name in vary:
            value = exchange.headers.get(name)
            if value is not None:
                headers.set(name, value)
        request = RequestHead("POST", path, path, "", 1, host, headers, 0, keep_alive=True)

        def make(holder: Holder) -> Source:
            if self._wheel is None:
                self._wheel = DeadlineWheel(self._kit.clock, asyncio.get_running_loop())
            own = Own(self._kit, self._wheel, service, request)
            return self._own(cast("Way", own), holder, alone=True)

        return make


class Own:
    """The way to a backend that the gateway asks for itself: as much of a ``Way`` as a source uses."""

    __slots__ = ("_kit", "_service", "_wheel", "exchange")

    def __init__(self, kit: Kit, wheel: DeadlineWheel, service: str, request: RequestHead) -> None:
        self._kit = kit
        self._wheel = wheel
        self._service = service
        self.exchange = Exchange(request, _NOBODY, kit.clock.now())

    def ask(self, request: RequestHead, body: bytes | None, receiver: Receiver) -> Call:
        """Ask the service."""
        caller = self._kit.caller
        assert caller is not None  # noqa: S101  # there are no clients without one
        return caller.ask(self._service, request, body, receiver, whole_path=True)

    def now(self) -> float:
        """Return the monotonic time."""
        return self._kit.clock.now()

    def watch(self, thing: Watched, deadline: float) -> None:
        """Have something called at a time."""
        self._wheel.watch(thing, deadline)


class At:
    """A client's way, to another path than the exchange's; as much of a ``Way`` as a source uses."""

    __slots__ = ("_path", "_way", "exchange", "now", "watch")

    def __init__(self, way: Way, path: str) -> None:
        self._way = way
        self._path = path
        self.exchange = way.exchange
        self.now = way.now
        self.watch = way.watch

    def ask(self, request: RequestHead, body: bytes | None, receiver: Receiver) -> Call:
        """Ask the route's upstream there."""
        exchange = self.exchange
        replaced, exchange.replaced_path = exchange.replaced_path, self._path
        try:
            return self._way.ask(request, body, receiver)
        finally:
            exchange.replaced_path = replaced
