"""The operations of one client's WebSocket: each examined as a request over HTTP is, counted, and passed to the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson

from proxyd.graphql.refusal import Refused
from proxyd.graphql.request import NOTHING, read_members
from proxyd.graphql.subscriptions.outcomes import UNREACHABLE, log_failure

if TYPE_CHECKING:
    from asyncio import Future

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.examiner import Examiner
    from proxyd.graphql.request import Asked
    from proxyd.graphql.subscriptions.protocols import Request
    from proxyd.graphql.subscriptions.settings import Subscriptions
    from proxyd.graphql.subscriptions.source import Source, Subscription
    from proxyd.graphql.subscriptions.watching import Watching
    from proxyd.store.under_way import UnderWay


class Client(Protocol):
    """Whom results are sent to; ``identity`` is an operation's id, as JSON."""

    def send_next(self, identity: bytes, payload: bytes) -> None:
        """Send a result."""

    def send_error(self, identity: bytes, errors: bytes) -> None:
        """Send the errors that an operation ends with."""

    def send_complete(self, identity: bytes) -> None:
        """Send an operation's end."""

    def close(self, code: int, reason: str) -> None:
        """Say why this is the end."""


class Rules:
    """What operations are held to; one for each plugin instance.

    ``counted`` begins the key by which those of a consumer are counted, over all connections of all workers.
    """

    __slots__ = ("counted", "examiner", "per_connection", "per_consumer", "under_way", "watching")

    def __init__(
        self,
        settings: Subscriptions,
        examiner: Examiner,
        watching: Watching,
        under_way: UnderWay,
        counted: str,
    ) -> None:
        self.examiner = examiner
        self.watching = watching
        self.under_way = under_way
        self.counted = counted
        self.per_connection = settings.max_operations
        self.per_consumer = settings.max_per_consumer

    def __repr__(self) -> str:
        return f"<Rules {self.counted} {self.per_connection} {self.per_consumer}>"


class Active:
    """One operation from its begin to its end; a ``source.Listener``."""

    __slots__ = (
        "_operations",
        "asked",
        "held",
        "identity",
        "key",
        "operation",
        "over",
        "subscription",
    )

    def __init__(self, operations: Operations, key: str, asked: Asked) -> None:
        self._operations = operations
        self.key = key
        self.identity = orjson.dumps(key)
        self.asked = asked
        self.held = ""  # by which it is counted among its consumer's
        self.operation: Operation | None = None  # once it has been examined, and is let pass
        self.over = False
        self.subscription: Subscription | None = None

    def __repr__(self) -> str:
        return f"<Active {'over' if self.over else 'under way'} {self.asked!r}>"

    def next(self, payload: bytes) -> None:
        """Take a result."""
        if not self.over:
            operations = self._operations
            told = operations.rules.watching.result(operations.exchange, payload)
            operations.client.send_next(self.identity, told)

    def failed(self, errors: bytes) -> None:
        """Take the errors that it ends with."""
        if not self.over:
            operations = self._operations
            operations.end(self)
            told = operations.rules.watching.errors(operations.exchange, errors)
            operations.client.send_error(self.identity, told)

    def completed(self) -> None:
        """Hear that it is complete."""
        if not self.over:
            self._operations.end(self)
            self._operations.client.send_complete(self.identity)

    def resolved(self, future: Future[None]) -> None:
        """Go on, once the document is there that the client has named."""
        if self.over or future.cancelled():
            return
        operations = self._operations
        try:
            operations.begin(self)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is not left waiting
            log_failure(operations.exchange, error)
            operations.client.close(*UNREACHABLE)


class Operations:
    """Those of one connection."""

    def __init__(self, rules: Rules, exchange: Exchange, client: Client) -> None:
        self.rules = rules
        self.client = client
        self.source: Source | None = None  # once operations are taken
        self.exchange = exchange
        self._active: dict[str, Active] = {}
        self._paused = False

    def __repr__(self) -> str:
        return f"<Operations {len(self._active)}>"

    def __len__(self) -> int:
        return len(self._active)

    def __contains__(self, key: str) -> bool:
        return key in self._active

    def start(self, request: Request) -> None:
        """Begin an operation whose id is free."""
        key = request.id
        try:
            if len(self._active) >= self.rules.per_connection:
                raise _too_many("connection", self.rules.per_connection)
            asked = read_members(request.payload, request.size)
        except Refused as refused:
            self._refuse(orjson.dumps(key), refused)
            return
        active = self._active[key] = Active(self, key, asked)
        waiting = self.rules.examiner.resolve(self.exchange, asked)
        if waiting is not None:
            waiting.add_done_callback(active.resolved)
        else:
            self.begin(active)

    def begin(self, active: Active) -> None:
        """Examine an operation whose document is known, and pass it on."""
        source = self.source
        if source is None:
            return
        try:
            operation = self.rules.examiner.examine(self.exchange, active.asked)
            self._count(active)
        except Refused as refused:
            self.end(active)
            self._refuse(active.identity, refused)
            return
        active.operation = operation
        self.rules.watching.begun(self.exchange, operation)
        asked, active.asked = active.asked, NOTHING
        subscription = source.subscribe(asked, operation, active)
        if not active.over:
            active.subscription = subscription
            if self._paused:
                subscription.pause()

    def _count(self, active: Active) -> None:
        limit = self.rules.per_consumer
        who = self.exchange.consumer or self.exchange.credential
        if limit is None or who is None:
            return
        held = self.rules.counted + who.id
        if not self.rules.under_way.enter(held, limit):
            raise _too_many("consumer", limit)
        active.held = held

    def _refuse(self, identity: bytes, refused: Refused) -> None:
        graphql = self.exchange.graphql
        if graphql is not None:
            graphql.codes = (refused.code,)
        self.rules.watching.refused(self.exchange, refused.code)
        self.client.send_error(identity, orjson.dumps(refused.errors))

    def end(self, active: Active) -> None:
        """Forget an operation."""
        active.over = True
        self._active.pop(active.key, None)
        if active.operation is not None:
            self.rules.watching.ended(self.exchange, active.operation)
        if active.held:
            self.rules.under_way.leave(active.held)
            active.held = ""

    def stop(self, key: str) -> None:
        """End one that its client has enough of; one that there is not any more is nobody's mistake."""
        active = self._active.get(key)
        if active is not None:
            self.end(active)
            if active.subscription is not None:
                active.subscription.stop()

    def pause(self, paused: bool) -> None:
        """Have results wait for a client that is slow, or come again."""
        if paused is self._paused:
            return
        self._paused = paused
        for active in list(self._active.values()):
            if active.subscription is None:
                continue
            if paused:
                active.subscription.pause()
            else:
                active.subscription.resume()

    def close(self) -> None:
        """End them all, at the source too."""
        for active in list(self._active.values()):
            self.end(active)
        source, self.source = self.source, None
        if source is not None:
            source.close()


def _too_many(whose: str, limit: int) -> Refused:
    return Refused(
        429,
        "TOO_MANY_OPERATIONS",
        f"No more than {limit} operations of one {whose} may be under way",
        {"limit": limit},
    )
