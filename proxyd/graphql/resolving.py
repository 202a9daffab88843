"""From what a client sends to the document that is meant: by a name in manifests, by a hash that is kept, or as a text.

Whatever way it came, a safelist has the last word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.graphql import persisted, safelist
from proxyd.graphql.naming import (
    MEMBERS,
    SHA256,
    hash_of,
    have_text_alone,
    name_of,
    not_found,
    not_supported,
    spell_out,
)
from proxyd.graphql.refusal import Refused
from proxyd.graphql.roles import Roles

if TYPE_CHECKING:
    from asyncio import Future

    from proxyd.exchange import Exchange
    from proxyd.graphql.request import Asked
    from proxyd.graphql.schema.source import Schema
    from proxyd.plugin import Kit
    from proxyd.telemetry.operations import Operations


def make_documents(
    keeping: persisted.Config | None,
    listing: safelist.Config | None,
    kit: Kit,
    roles_claim: str | None = None,
    schema: Schema | None = None,
) -> Documents | None:
    """Return who finds documents, None where clients have to send them; raises ConfigError for a wrong manifest."""
    if keeping is None and listing is None:
        return None
    named = (*(listing.roles or ()), *(listing.exempt_roles or ())) if listing is not None else ()
    return Documents(
        persisted.Persisted(keeping, kit) if keeping is not None else None,
        safelist.Safelist(listing, Roles(kit.consumers, named, roles_claim), kit.operations, schema)
        if listing is not None
        else None,
        kit.operations,
    )


class Documents:
    """Finds documents; an ``examiner.Resolver``."""

    def __init__(
        self, kept: persisted.Persisted | None, listed: safelist.Safelist | None, operations: Operations
    ) -> None:
        self._count = operations.persist
        self._kept = kept
        self._listed = listed

    def __repr__(self) -> str:
        return f"<Documents {self._kept!r} {self._listed!r}>"

    def start(self) -> None:
        """Begin to use Redis, and to watch manifests."""
        if self._kept is not None:
            self._kept.start()
        if self._listed is not None:
            self._listed.start()

    async def stop(self) -> None:
        """End it; works after a half start."""
        if self._listed is not None:
            await self._listed.stop()
        if self._kept is not None:
            await self._kept.stop()

    def resolve(self, exchange: Exchange, asked: Asked) -> Future[None] | None:
        """Put the document that is meant into ``asked``, or why it is refused; waits for Redis only."""
        try:
            if asked.query:
                self._offer(exchange, asked)
                if self._listed is not None:
                    self._listed.hold(exchange, asked)
                return None
            name = name_of(asked)
            return self._find(exchange, asked, name) if name else None
        except Refused as refused:
            asked.refused = refused
            return None

    def keep(self, asked: Asked) -> None:
        """Keep what was offered."""
        if self._kept is not None and asked.offered is not None:
            self._kept.keep(*asked.offered)

    def _offer(self, exchange: Exchange, asked: Asked) -> None:
        """See whether the client wants its document kept."""
        kept = self._kept
        name = hash_of(asked) if kept is not None and asked.extensions else ""
        if kept is not None and name:
            kept.check(name, asked.query)
            self._count(exchange, "offered")
            asked.offered = (name, asked.query)
            if not kept.spells_out and asked.members.keys().isdisjoint(MEMBERS):
                return  # the backend keeps it too, by a hash that is right
        have_text_alone(asked)

    def _find(self, exchange: Exchange, asked: Asked, name: str) -> Future[None] | None:
        listed, kept = self._listed, self._kept
        if listed is not None and listed.find(exchange, asked, name):
            return None
        if kept is None:
            raise listed.not_listed(exchange) if listed is not None else not_supported()
        digest = name.removeprefix(SHA256)
        text = kept.find(digest)
        if text is not None:
            self._found(exchange, asked, text)
            return None
        elsewhere = kept.find_elsewhere(digest, lambda text: self._found(exchange, asked, text))
        if elsewhere is None:
            self._found(exchange, asked, None)
        return elsewhere

    def _found(self, exchange: Exchange, asked: Asked, text: str | None) -> None:
        self._count(exchange, "miss" if text is None else "hit")
        if text is None:
            asked.refused = not_found()
            return
        asked.query = text
        if self._kept is not None and self._kept.spells_out:
            spell_out(asked, text)
        try:
            if self._listed is not None:
                self._listed.hold(exchange, asked)
        except Refused as refused:
            asked.refused = refused
