"""What operations are held to, one thing each, and who finds documents that are not sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import Future

    from proxyd.exchange import Exchange
    from proxyd.graphql.document import Document, Operation
    from proxyd.graphql.request import Asked


class Step:
    """One thing that operations are held to. Each of its methods is called only where a subclass defines it."""

    def learn(self, document: Document) -> None:
        """Look at a document that is new, and note what holds for it from now on; raises Refused for all of it.

        What holds for one of its operations goes into ``Operation.verdict``, unless another step has refused it already, and
        what ``check`` will need into ``Operation.notes``: the trees are gone afterwards.
        """

    def check(self, exchange: Exchange, asked: Asked, operation: Operation) -> None:
        """Look at what depends on the caller or on the variables, in some hundred nanoseconds; raises Refused."""


class Resolver(Protocol):
    """Who knows the documents that clients name instead of sending them, and which of those they send may be known."""

    def resolve(self, exchange: Exchange, asked: Asked) -> Future[None] | None:
        """Put the document that is meant into ``asked``, or why it is refused; waits only where it is kept elsewhere."""

    def keep(self, asked: Asked) -> None:
        """Keep what was offered (``asked.offered``): it has passed."""
