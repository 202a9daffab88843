"""Who calls a mounted application: what the gateway found out about the request, handed over in memory.

It is taken from the exchange itself and not from headers: claims of a token are in no header, and what a client sends
cannot get here. ``request[CALLER]`` is set for every request that comes through the gateway; a test of an application
by itself sets it with ``as_caller``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from proxyd.identity import is_known, scope_groups, texts_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler, Middleware

    from proxyd.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. Nothing in it is set where nobody has been authenticated.

    ``credential`` is what X-Credential-Identifier says: a credential's id, name or key, or a token's subject.
    ``groups`` are those that ``acl`` would see; ``claims`` those of the token that was verified.
    """

    consumer: str | None = None
    """Id of the consumer."""
    username: str | None = None
    custom_id: str | None = None
    credential: str | None = None
    anonymous: bool = False
    groups: tuple[str, ...] = ()
    claims: dict[str, Any] | None = None

    @property
    def known(self) -> bool:
        """Whether the caller has proved who it is; the anonymous consumer has not."""
        return not self.anonymous and (self.consumer is not None or self.claims is not None)

    def roles(self, claim: str | None = None) -> frozenset[str]:
        """Return the groups, and the texts that a path leads to in the claims."""
        told = texts_at(self.claims, claim) if claim and self.claims is not None else ()
        return frozenset((*self.groups, *told))


NOBODY = Caller()
CALLER = web.RequestKey("proxyd.caller", Caller)


def caller_of(exchange: Exchange, groups_of: Callable[[str], tuple[str, ...]]) -> Caller:
    """Return who an exchange comes from; ``groups_of`` gives a consumer's groups by its id."""
    consumer = exchange.consumer
    if consumer is None and not is_known(exchange):
        return NOBODY
    if exchange.groups is not None and (consumer is None or exchange.credential is None):
        groups = exchange.groups  # as in acl
    else:
        groups = groups_of(consumer.id) if consumer is not None else ()
    identifier = exchange.headers.get(b"x-credential-identifier")
    return Caller(
        consumer.id if consumer is not None else None,
        consumer.username if consumer is not None else None,
        consumer.custom_id if consumer is not None else None,
        identifier.decode("utf-8", "replace") if identifier is not None else None,
        exchange.anonymous,
        (*groups, *scope_groups(exchange.credential)),
        dict(exchange.claims) if exchange.claims is not None else None,  # the gateway remembers its own
    )


def as_caller(caller: Caller) -> Middleware:
    """Return a middleware by which every request comes from one caller: for tests of an application by itself."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[CALLER] = caller
        return await handler(request)

    return middleware
