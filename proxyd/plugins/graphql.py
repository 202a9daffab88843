"""graphql: the gateway understands what is asked of a GraphQL backend, and holds it to what is configured.

Not Kong's. What each part does stands in ``proxyd.graphql``; here they are put together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.graphql import persisted
from proxyd.graphql import safelist as listing
from proxyd.graphql.entry import Entry
from proxyd.graphql.errors import Errors
from proxyd.graphql.examiner import Examiner
from proxyd.graphql.front import Front
from proxyd.graphql.limits import Counts, Limits
from proxyd.graphql.metrics import Counted
from proxyd.graphql.outcome import Outcome
from proxyd.graphql.refusal import refuse
from proxyd.graphql.requests import Requests
from proxyd.graphql.resolving import make_documents
from proxyd.graphql.retries import Retries
from proxyd.graphql.schema import config as schema
from proxyd.graphql.schema.reporting import Reporting
from proxyd.graphql.schema.source import UNKNOWN
from proxyd.graphql.sharing import Deduplication
from proxyd.graphql.subscriptions.settings import Subscriptions
from proxyd.graphql.subscriptions.sockets import Sockets
from proxyd.graphql.subscriptions.sources import Sources
from proxyd.graphql.subscriptions.streams import Examine, make_streams
from proxyd.graphql.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange
    from proxyd.graphql.schema.reporting import Phases
    from proxyd.graphql.schema.source import Schema
    from proxyd.graphql.steps import Step
    from proxyd.http1.headers import Headers


class Config(schema.Config, plugin.Config):
    """Settings of graphql."""

    requests: Requests = Field(default_factory=Requests)
    """Which requests are taken."""
    limits: Limits = Field(default_factory=Limits)
    """How much one may ask for."""
    subscriptions: Subscriptions = Subscriptions()
    """WebSockets."""
    persisted_queries: persisted.Config | None = None
    """Automatic persisted queries; none: clients that send hashes are told that they are not supported."""
    safelist: listing.Config | None = None
    """Documents that may be asked for, and no others; none: all that pass."""
    errors: Errors = Errors()
    """What clients are told of the backend's errors."""
    metrics: Counted = Counted()
    """How operations are counted."""
    retries: Retries = Retries()
    """When queries are sent to the backend again."""
    deduplication: Deduplication = Deduplication()
    """Whether the backend is asked once for queries that are the same."""


class GraphQL(plugin.Plugin[Config]):
    """Examines each operation before it goes to the backend."""

    name = "graphql"
    priority = (
        930  # behind those who find out who asks, and before rate-limiting, which may count what it costs
    )
    answers = (
        (200, "the same as 400, for clients that accept application/json alone"),
        (400, "the request is no GraphQL request, or its document is refused; the error's code says why"),
        (403, "introspection, or something that the operation uses, is not for the caller's roles"),
        (405, "a mutation is asked for by GET, or the method is none of GraphQL's"),
        (406, "the client accepts neither of the media types of answers"),
        (413, "the body is larger than limits.max_body_size"),
        (415, "the body is not JSON by its Content-Type"),
        (503, "the schema is to be asked of the backend, and is not known yet"),
    )

    def prepare(self) -> None:
        """Put the steps together."""
        config = self.config
        self.secret_arguments = (*self.secret_arguments, "variables")
        self._outcome = Outcome(config.errors, config.metrics, config.retries, config.deduplication, self.kit)
        self._answers: Phases = self._outcome.answers
        if config.cost is not None and config.cost.report:
            self._answers = Reporting(self._answers, config.cost.max, config.errors.max_size)
        limits = self.config.limits
        self._schema = schema.make_schema(self.config, self.scope, self.kit)
        self._documents = make_documents(
            self.config.persisted_queries,
            self.config.safelist,
            self.kit,
            self.config.roles_claim,
            self._schema,
        )
        self._sources = Sources(self.config.subscriptions, self.kit)
        self._streams = make_streams(
            self.config.subscriptions, self.kit, self._sources, self._outcome.results
        )
        self._examiner = Examiner(self._steps(), limits=limits, resolver=self._documents)
        if self._schema is not None:
            self._schema.changed.append(self._examiner.forget)
        requests = self.config.requests
        self._sockets = Sockets(
            self.config.subscriptions,
            self._examiner,
            self._outcome,
            self.kit,
            self.scope,
            self._sources.open,
        )
        front = Front(requests)
        self._entry = Entry(front, self._examiner, limits, requests.max_upload_size, self._sockets.access)
        self._entry.carry = self._streams.carry if self._streams is not None else None
        self._shorten()

    def _shorten(self) -> None:
        """Leave out what this instance does not do."""
        answers = self._outcome.answers
        looks = answers.looks or self._answers is not answers
        self.direct = {
            "header_filter": self._answers.header_filter,
            "wants_body": self._answers.wants_body,
            "body_filter": self._answers.body_filter,
            "log": self._outcome.metrics.finished,
        }
        if self._streams is None and self._schema is None and not looks:
            self.direct["access"] = self._entry.access
        idle = set() if self._sockets.early else {"rewrite"}
        if not looks:
            idle |= {"header_filter"} if answers.counts else {"header_filter", "body_filter"}
        self.idle = frozenset(idle)

    def _steps(self) -> list[Step]:
        """Return what operations are held to, the cheapest first."""
        limits = self.config.limits
        known = schema.steps(self.config, self._schema, self.kit.consumers)
        return [Counts(limits), Variables(limits), *self._sources.steps, *known, *self._outcome.steps]

    async def start(self) -> None:
        """Begin to use Redis, to watch files, and to ask the backend for its schema."""
        if self._schema is not None:
            self._schema.start()
        if self._documents is not None:
            self._documents.start()

    async def stop(self) -> None:
        """End it."""
        self._sources.stop()
        if self._schema is not None:
            await self._schema.stop()
        if self._documents is not None:
            await self._documents.stop()

    def rewrite(self, exchange: Exchange) -> Awaitable[None] | None:
        """Take WebSockets whose first message is what authenticates."""
        return self._sockets.rewrite(exchange) if exchange.request.upgrade else None

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Examine what is asked; only what has not come yet is waited for."""
        self._answers.prepare(exchange)
        if self._streams is not None and not exchange.request.upgrade:
            entered = self._streams.enter(exchange)
            if not isinstance(entered, Examine):
                return entered
        if self._schema is not None and self._schema.now is None:
            return self._once_known(exchange, self._schema)
        return self._entry.access(exchange)

    async def _once_known(self, exchange: Exchange, known: Schema) -> Reply | None:
        """Wait until the schema is known, or refuse the request."""
        await known.wait()
        if known.now is None:
            return refuse(exchange, UNKNOWN.again())
        found = self._entry.access(exchange)
        return found if found is None or isinstance(found, Reply) else await found

    def header_filter(self, exchange: Exchange, status: int, headers: Headers) -> Reply | None:
        """Decide how the answer is looked at."""
        return self._answers.header_filter(exchange, status, headers)

    def wants_body(self, exchange: Exchange, status: int, headers: Headers) -> int:
        """Hold an answer whose errors are masked, watch one whose errors are counted."""
        return self._answers.wants_body(exchange, status, headers)

    def body_filter(self, exchange: Exchange, data: bytes, last: bool) -> bytes:
        """Take a piece of it."""
        return self._answers.body_filter(exchange, data, last)

    def log(self, exchange: Exchange) -> None:
        """Count what was asked, and what came of it."""
        self._outcome.metrics.finished(exchange)
