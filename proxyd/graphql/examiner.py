"""The way of a GraphQL operation through everything that may refuse it, whichever way it came in."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from proxyd.exchange import Operated
from proxyd.graphql.document import Document
from proxyd.graphql.naming import is_named, not_supported
from proxyd.graphql.refusal import Refused

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Sequence

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked


class Step(Protocol):
    """One thing that an operation is held to."""

    def learn(self, document: Document) -> None:
        """Look at a document that is new, and note what holds for it from now on; raises Refused for all of it.

        What holds for one of its operations goes into ``Operation.verdict``.
        """

    def check(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Look at what depends on the caller or on the variables; raises Refused."""


class Resolver(Protocol):
    """Who knows the documents that clients name instead of sending them, and which of those they send may be known."""

    def resolve(self, exchange: Exchange, asked: Asked) -> Future[None] | None:
        """Put the document that is meant into ``asked``, or why it is refused; waits only where it is kept elsewhere."""

    def keep(self, asked: Asked) -> None:
        """Keep what was offered (``asked.offered``): it has passed."""


class Examiner:
    """Documents by their text, and the steps that each of them goes through; one per plugin instance.

    ``max_size`` bounds the cache, in characters of text. A document that cannot be parsed, or that a step refuses whole, is
    kept with its refusal, so that asking again costs as little.
    """

    def __init__(
        self,
        steps: Sequence[Step] = (),
        *,
        max_tokens: int | None = None,
        max_size: int = 16_777_216,
        resolver: Resolver | None = None,
    ) -> None:
        self._steps = tuple(steps)
        self._checks = tuple(step.check for step in steps)
        self._resolver = resolver
        self._max_tokens = max_tokens
        self._max_size = max_size
        self._size = 0
        self._documents: OrderedDict[str, Document | Refused] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Examiner documents={len(self._documents)}>"

    def resolve(self, exchange: Exchange, asked: Asked) -> Future[None] | None:
        """Find the document of what is asked; what is returned has to be waited for, and never fails.

        Comes before ``examine``, which raises what stands in the way.
        """
        if self._resolver is not None:
            return self._resolver.resolve(exchange, asked)
        if not asked.query and is_named(asked):
            asked.refused = not_supported()
        return None

    def examine(self, exchange: Exchange, asked: Asked) -> Operation:
        """Return the operation that is asked for, and note it in the exchange; raises Refused."""
        if asked.refused is not None:
            raise asked.refused
        known = self._documents.get(asked.query)
        operated = exchange.graphql
        if operated is None:
            operated = exchange.graphql = Operated(known=known is not None)
        else:
            operated.count += 1
        if known is None:
            known = self._learn(asked.query)
        if isinstance(known, Refused):
            raise known
        operation = known.operation(asked.name)
        if not operated.type:
            operated.name = operation.name
            operated.type = operation.type
            operated.digest = known.digest
        if operation.verdict is not None:
            raise operation.verdict
        for check in self._checks:
            check(exchange, asked, operation)
        if asked.offered is not None and self._resolver is not None:
            self._resolver.keep(asked)
        return operation

    def _learn(self, text: str) -> Document | Refused:
        found: Document | Refused
        try:
            found = Document(text, self._max_tokens)
            for step in self._steps:
                step.learn(found)
        except Refused as refused:
            found = refused
        self._size += len(text)
        self._documents[text] = found
        while self._size > self._max_size:
            oldest, _ = self._documents.popitem(last=False)
            self._size -= len(oldest)
        return found
