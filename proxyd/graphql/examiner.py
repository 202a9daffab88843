"""The way of a GraphQL operation through everything that may refuse it, whichever way it came in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.exchange import Operated
from proxyd.graphql.cache import Cache
from proxyd.graphql.document import Document, digest_of
from proxyd.graphql.limits import Lengths, Limits
from proxyd.graphql.naming import have_text_alone, is_named, not_supported
from proxyd.graphql.refusal import Refused
from proxyd.graphql.steps import Step

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Sequence

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Operation
    from proxyd.graphql.request import Asked
    from proxyd.graphql.steps import Resolver


class Examiner:
    """Documents by their text, and the steps that each of them goes through; one per plugin instance."""

    def __init__(
        self,
        steps: Sequence[Step] = (),
        *,
        limits: Limits | None = None,
        cache: Cache | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._learners = tuple(step.learn for step in steps if type(step).learn is not Step.learn)
        self._checks = tuple(step.check for step in steps if type(step).check is not Step.check)
        self._resolver = resolver
        self._lengths = Lengths(limits or Limits())
        self._cache = cache or Cache()

    def __repr__(self) -> str:
        return f"<Examiner {self._cache!r}>"

    def resolve(self, exchange: Exchange, asked: Asked) -> Future[None] | None:
        """Find the document of what is asked; what is returned has to be waited for, and never fails.

        Comes before ``examine``, which raises what stands in the way.
        """
        if self._resolver is not None:
            return self._resolver.resolve(exchange, asked)
        if asked.query:
            have_text_alone(asked)
        elif is_named(asked):
            asked.refused = not_supported()
        return None

    def examine(self, exchange: Exchange, asked: Asked) -> Operation:
        """Return the operation that is asked for, and note it in the exchange; raises Refused."""
        operated = exchange.graphql
        if operated is None:
            operated = exchange.graphql = Operated()
        else:
            operated.count += 1
        if asked.refused is not None:
            raise asked.refused
        document = self._cache.find(asked.query)
        if document is None:
            document = self._learn(asked.query)
        elif operated.count == 1:
            operated.known = True
        if asked.listed and operated.count == 1:
            operated.listed = True
        operation = document.operation(asked.name)
        _note(operated, operation)
        if operation.verdict is not None:
            raise operation.verdict.again()
        for check in self._checks:
            check(exchange, asked, operation)
        if asked.offered is not None and self._resolver is not None:
            self._resolver.keep(asked)
        return operation

    def forget(self) -> None:
        """Forget every document, because what steps have learned of them does not hold any more."""
        self._cache.clear()

    def _learn(self, text: str) -> Document:
        """Make the document of a text that is not known; raises Refused, which is kept too."""
        if not text:
            raise Refused(400, "BAD_REQUEST", "The request has no query", well_formed=False)
        digest = digest_of(text)
        refused = self._cache.find_refused(digest)
        if refused is not None:
            raise refused.again()
        try:
            exceeded = self._lengths.check(text)
            document = Document(text, digest)
            for operation in document.operations.values():
                operation.exceeded = exceeded
            for learn in self._learners:
                learn(document)
                if all(operation.verdict is not None for operation in document.operations.values()):
                    break  # what a limit refuses is not worth validating
        except Refused as refusal:
            self._cache.keep_refused(digest, refusal.again())
            raise
        document.forget()
        self._cache.keep(document)
        return document


def _note(operated: Operated, operation: Operation) -> None:
    """Tell logs and metrics what is asked for."""
    if operated.count == 1:
        operated.name = operation.name
        operated.type = operation.type
        operated.digest = operation.document.digest
    operated.depth = max(operated.depth, operation.facts.depth)
    if operation.exceeded:
        operated.exceed(*operation.exceeded)
