"""The safelist: only documents that stand in manifests are carried, by name or as they are.

What is refused is never parsed. What is carried reaches the backend as it stands in the manifest: nothing of it but the variables
is what a stranger has written.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.errors import ConfigError
from proxyd.graphql.kept import digest_of
from proxyd.graphql.listed import Listed, load
from proxyd.graphql.naming import is_named, spell_out
from proxyd.graphql.refusal import Refused
from proxyd.graphql.schema.listed import Checking
from proxyd.model.files import stamp_of
from proxyd.telemetry.events import get_logger

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.graphql.request import Asked
    from proxyd.graphql.schema.source import Schema
    from proxyd.model.files import Stamp
    from proxyd.telemetry.operations import Operations

log = get_logger("graphql")

CLIENT: Final = b"apollographql-client-name"

_TOLD = 1000  # documents that the log tells of, of one list
_NAME = 100  # characters of an operation's name in it


class Config(plugin.Config):
    """Settings of the safelist."""

    manifests: tuple[str, ...] = Field(min_length=1)
    """Files with the documents, in Apollo's format or in Relay's; read again when they change."""
    mode: Literal["enforce", "log", "enforce-for-roles"] = "enforce"
    """Whether other documents are refused, only logged and counted, or refused where the caller has one of the roles."""
    roles: plugin.Listed = None
    """Whom it is enforced for, with mode: enforce-for-roles; anonymous are callers whom no plugin knows."""
    exempt_roles: plugin.Listed = None
    """Who may send other documents all the same, with mode: enforce."""
    match: Literal["tokens", "exact"] = "tokens"
    """Whether a document counts as a listed one that differs in spaces, commas and comments only."""
    names_only: bool = False
    """Whether documents have to be named, so that even a listed one is not taken as text."""
    forward: Literal["text", "name"] = "text"
    """Whether the backend gets a named document itself, or the request as it came, name and all."""
    watch_interval: float = Field(5.0, ge=0)
    """Seconds between two looks at the files; 0: they are read at a reload only."""

    @model_validator(mode="after")
    def _whose(self) -> Self:
        if (self.mode == "enforce-for-roles") != (self.roles is not None):
            raise ValueError("roles go with mode: enforce-for-roles")
        if self.exempt_roles is not None and self.mode != "enforce":
            raise ValueError("exempt_roles go with mode: enforce")
        return self


@lru_cache(maxsize=4)  # instances of the plugin have the same files, and most reloads leave them as they were
def _load(names: tuple[str, ...], stamps: tuple[Stamp | None, ...], by_tokens: bool) -> Listed:  # a key
    del stamps  # tell one state of the files from the next
    return load(names, by_tokens=by_tokens)


class RolesOf(Protocol):
    """Who knows the roles of a caller."""

    def of(self, exchange: Exchange) -> frozenset[str]:
        """Return them."""


class Safelist:
    """The documents that one plugin instance lets pass. Raises ConfigError where a manifest is wrong.

    With a schema, the log tells of those that it does not know (any more).
    """

    def __init__(
        self, config: Config, roles: RolesOf, operations: Operations, schema: Schema | None = None
    ) -> None:
        self._config = config
        self._count = operations.listed
        self._roles = roles
        self._held = frozenset(config.roles or ())
        self._exempt = frozenset(config.exempt_roles or ())
        self._for_all = config.mode == "enforce" and not self._exempt
        self._names_only = config.names_only
        self._by_tokens = config.match == "tokens"
        self._seen = self._stamps()  # before they are read: what changes meanwhile is seen later
        self._changing: tuple[Stamp | None, ...] | None = None
        self._listed = _load(config.manifests, self._seen, self._by_tokens)
        self._told: set[str] = set()
        self._schema = schema
        self._checking = Checking()
        self._watching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Safelist {self._listed!r} {self._config.mode}>"

    # --- requests --------------------------------------------------------------------------------------------

    def find(self, exchange: Exchange, asked: Asked, name: str) -> bool:
        """Put the document of this name into what is asked; false where it is not listed."""
        listed = self._listed
        client = ""
        if listed.has_clients:
            client = (exchange.headers.get(CLIENT) or b"").decode("latin-1")
        text = listed.named(name, client)
        if text is None:
            return False
        self._count(exchange, "allowed")
        asked.listed = True
        asked.query = text
        if self._config.forward == "text":
            spell_out(asked, text)
        return True

    def hold(self, exchange: Exchange, asked: Asked) -> None:
        """Let a text pass that is listed, or that this caller may send; raises Refused."""
        text = self._listed.like(asked.query)
        enforced = self._for_all or self._is_enforced_for(exchange)
        if text is not None and not (enforced and self._names_only):
            self._count(exchange, "allowed")
            asked.listed = True
            if enforced and (text != asked.query or is_named(asked)):
                asked.query = text
                spell_out(asked, text)
            return
        if self._config.mode == "log":
            self._count(exchange, "logged")
            self._tell(exchange, asked)
        else:
            self._count(exchange, "refused" if enforced else "exempt")
        if enforced:
            if text is not None:
                raise Refused(
                    400, "PERSISTED_QUERY_ID_REQUIRED", "The document has to be asked for by its id"
                )
            raise Refused(
                400, "QUERY_NOT_IN_SAFELIST", "The document is not one of those that may be asked for"
            )

    def not_listed(self, exchange: Exchange) -> Refused:
        """Return the refusal of a name that stands for nothing."""
        self._count(exchange, "unknown")
        return Refused(404, "PERSISTED_QUERY_NOT_IN_LIST", "There is no document of this id")

    def _is_enforced_for(self, exchange: Exchange) -> bool:
        mode = self._config.mode
        if mode == "enforce":
            return self._for_all or self._exempt.isdisjoint(self._roles.of(exchange))
        return mode != "log" and not self._held.isdisjoint(self._roles.of(exchange))

    def _tell(self, exchange: Exchange, asked: Asked) -> None:
        """Say once for each document that it would be refused."""
        digest = digest_of(asked.query)
        if digest in self._told or len(self._told) >= _TOLD:
            return
        self._told.add(digest)
        route = exchange.route
        log.notice(
            "document not in the safelist",
            route=(route.name or route.id) if route is not None else "",
            digest=digest,
            operation=(asked.name or "")[:_NAME],
            request_id=exchange.request_id,
        )

    # --- files -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch the manifests, and what the schema makes of them."""
        if self._config.watch_interval and self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        if self._schema is not None:
            self._schema.changed.append(self._check)
            self._check()

    async def stop(self) -> None:
        """Watch no longer; works without ``start``."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        if self._schema is not None and self._check in self._schema.changed:
            self._schema.changed.remove(self._check)
        await self._checking.stop()

    def _check(self) -> None:
        """Look for documents that the schema does not know, where there is one."""
        known = self._schema.now if self._schema is not None else None
        if known is not None:
            self._checking.begin(((name, text) for text, name in self._listed.texts.items()), known.graph)

    def _stamps(self) -> tuple[Stamp | None, ...]:
        return tuple(stamp_of(name) for name in self._config.manifests)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._config.watch_interval)
            await self.look(await asyncio.to_thread(self._stamps))

    async def look(self, stamps: tuple[Stamp | None, ...]) -> None:
        """Read the manifests again where they have changed, and been left alone since the last look."""
        if stamps == self._seen:
            self._changing = None
        elif stamps != self._changing:
            self._changing = stamps
        else:
            self._seen, self._changing = stamps, None
            await self._read()

    async def _read(self) -> None:
        try:
            listed = await asyncio.to_thread(_load, self._config.manifests, self._seen, self._by_tokens)
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
            log.error("safelist not taken over", problems=problems)  # noqa: TRY400  # no traceback
        else:
            self._listed = listed
            self._told.clear()
            log.notice("safelist taken over", documents=len(listed))
            self._check()
