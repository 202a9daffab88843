"""graphql: the gateway understands what is asked of a GraphQL backend, and holds it to what is configured.

Not Kong's. What each part does stands in ``proxyd.graphql``; here they are put together.
"""

from __future__ import annotations

from asyncio import gather
from typing import TYPE_CHECKING

from pydantic import Field

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.graphql import persisted
from proxyd.graphql import safelist as listing
from proxyd.graphql.examiner import Examiner
from proxyd.graphql.refusal import Refused, refuse
from proxyd.graphql.request import read_body, read_query, write_body, write_query
from proxyd.graphql.resolving import make_documents
from proxyd.graphql.subscriptions.settings import Subscriptions

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange
    from proxyd.graphql.request import Asked


class Config(plugin.Config):
    """Settings of graphql."""

    max_body_size: int = Field(1_048_576, gt=0)
    """Bytes of the largest body of a request."""
    max_tokens: int = Field(2000, gt=0)
    """Tokens of the longest document."""
    subscriptions: Subscriptions = Subscriptions()
    """WebSockets."""
    persisted_queries: persisted.Config | None = None
    """Automatic persisted queries; none: clients that send hashes are told that they are not supported."""
    safelist: listing.Config | None = None
    """Documents that may be asked for, and no others; none: all that pass."""


class GraphQL(plugin.Plugin[Config]):
    """Examines each operation before it goes to the backend."""

    name = "graphql"
    priority = (
        930  # behind those who find out who asks, and before rate-limiting, which may count what it costs
    )
    answers = (
        (400, "the request is no GraphQL request, or its document is refused; the error's code says why"),
        (405, "a mutation is asked for by GET"),
        (413, "the body is larger than max_body_size"),
    )

    def prepare(self) -> None:
        """Put the steps together."""
        self._max_body_size = self.config.max_body_size
        self._documents = make_documents(self.config.persisted_queries, self.config.safelist, self.kit)
        self._examiner = Examiner(max_tokens=self.config.max_tokens, resolver=self._documents)

    async def start(self) -> None:
        """Begin to use Redis, and to watch files."""
        if self._documents is not None:
            self._documents.start()

    async def stop(self) -> None:
        """End it."""
        if self._documents is not None:
            await self._documents.stop()

    def access(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Examine what is asked; only a body that has not come yet is waited for."""
        request = exchange.request
        if request.upgrade:
            return None
        if request.method == "POST" and exchange.body is not None:
            if exchange.buffered is not None:
                return self._examine_body(exchange, exchange.buffered)
            body = exchange.body.read(self._max_body_size)
            return self._examine_body(exchange, body.result()) if body.done() else self._wait(exchange, body)
        if request.method == "GET":
            return self._examine_query(exchange)
        return None

    async def _wait(self, exchange: Exchange, body: Future[bytes]) -> Reply | None:
        found = self._examine_body(exchange, await body)
        return found if found is None or isinstance(found, Reply) else await found

    def _examine_body(self, exchange: Exchange, body: bytes) -> Reply | Awaitable[Reply | None] | None:
        try:
            return self._examine(exchange, read_body(body))
        except Refused as refused:
            return refuse(exchange, refused)

    def _examine_query(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        try:
            return self._examine(exchange, [read_query(exchange.request.query[1:])])
        except Refused as refused:
            return refuse(exchange, refused)

    def _examine(self, exchange: Exchange, asked: list[Asked]) -> Reply | Awaitable[Reply | None] | None:
        waiting = [
            elsewhere for one in asked if (elsewhere := self._examiner.resolve(exchange, one)) is not None
        ]
        if waiting:
            return self._examine_later(exchange, asked, waiting)
        return self._examine_found(exchange, asked)

    async def _examine_later(
        self, exchange: Exchange, asked: list[Asked], waiting: list[Future[None]]
    ) -> Reply | None:
        """Wait for documents that are kept elsewhere."""
        await gather(*waiting)
        try:
            return self._examine_found(exchange, asked)
        except Refused as refused:
            return refuse(exchange, refused)

    def _examine_found(self, exchange: Exchange, asked: list[Asked]) -> Reply | None:
        rewritten = False
        for one in asked:
            operation = self._examiner.examine(exchange, one)
            if operation.type == "mutation" and exchange.request.method == "GET":
                raise Refused(405, "METHOD_NOT_ALLOWED", "Mutations are asked for by POST", well_formed=False)
            rewritten = rewritten or one.rewritten
        if rewritten:
            self._rewrite(exchange, asked)
        return None

    @staticmethod
    def _rewrite(exchange: Exchange, asked: list[Asked]) -> None:
        """Have the backend asked for documents that the client has only named."""
        if exchange.buffered is not None:
            batch = exchange.buffered.lstrip()[:1] == b"["
            exchange.buffered = write_body(asked, batch=batch)
        else:
            exchange.request.query = f"?{write_query(asked[0])}"
