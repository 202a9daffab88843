"""Which WebSockets the gateway reads itself: those of GraphQL, on a route with the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.exchange import Reply
from proxyd.graphql.request import parameters_in
from proxyd.graphql.subscriptions.credentials import Credentials
from proxyd.graphql.subscriptions.handshake import offered
from proxyd.graphql.subscriptions.operations import Rules
from proxyd.graphql.subscriptions.session import Session
from proxyd.graphql.subscriptions.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxyd.carrier import Way
    from proxyd.exchange import Exchange
    from proxyd.graphql.examiner import Examiner
    from proxyd.graphql.outcome import Outcome
    from proxyd.graphql.subscriptions.protocols import Protocol
    from proxyd.graphql.subscriptions.settings import Subscriptions
    from proxyd.graphql.subscriptions.source import Holder, Source
    from proxyd.plugin import Kit, Scope


class Sockets:
    """Takes the WebSockets of one plugin instance."""

    def __init__(
        self,
        settings: Subscriptions,
        examiner: Examiner,
        outcome: Outcome,
        kit: Kit,
        scope: Scope,
        make_source: Callable[[Way, Holder, Protocol], Source],
    ) -> None:
        self.settings = settings
        self.make_source = make_source  # where a client's operations go
        self.clock = kit.clock
        self.credentials = Credentials(settings.credentials)
        counted = f"graphql:{scope.route or ''}:{scope.service or ''}:"
        watching = Watching(outcome.masker, outcome.metrics)
        self.rules = Rules(settings, examiner, watching, kit.counting.under_way, counted)
        self.early = bool(settings.credentials)

    def __repr__(self) -> str:
        return f"<Sockets {self.rules!r}>"

    def rewrite(self, exchange: Exchange) -> Awaitable[None] | None:
        """Take a WebSocket before authentication, where connection_init has the credentials."""
        if not self.early:
            return None
        protocol = offered(exchange.headers)
        if protocol is None:
            return None
        exchange.carrier = session = Session(self, exchange, protocol, early=True)
        return session.begun

    def access(self, exchange: Exchange) -> Reply | None:
        """Take a WebSocket that offers a subprotocol of GraphQL; refuse or let pass any other one.

        A backend that does not switch answers as to any GET: none with an operation in its URL gets there unexamined.
        """
        if exchange.request.query and parameters_in(exchange.request.query[1:]):
            return Reply(400, "A WebSocket has its operations in its messages, and none in the URL")
        if isinstance(exchange.carrier, Session):
            exchange.carrier.belongs_to(self)
            return None
        protocol = offered(exchange.headers)
        if protocol is not None:
            exchange.carrier = Session(self, exchange, protocol, early=False)
        elif self.settings.other_protocols == "refuse":
            return Reply(400, "Sec-WebSocket-Protocol must offer graphql-transport-ws or graphql-ws")
        return None
