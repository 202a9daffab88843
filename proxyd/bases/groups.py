"""Which groups a caller is in: those of the file, those that an authentication plugin vouches for, roles of a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.identity import scope_groups, texts_at

if TYPE_CHECKING:
    from proxyd.exchange import Exchange
    from proxyd.store.consumers import Consumers


def groups_of(
    exchange: Exchange, consumers: Consumers, roles_claim: str | None = None, *, vouched_first: bool = False
) -> tuple[tuple[str, ...], bool]:
    """Return a caller's groups, and whether they are vouched for in place of a consumer's own.

    As in Kong: somebody who has shown a credential is in the groups of the file and no others, unless ``vouched_first``.
    The values at ``roles_claim``, a path into a token's claims, count as well, and a key's scopes as ``scope:NAME``.
    """
    consumer = exchange.consumer
    vouched = exchange.groups is not None and (
        consumer is None or exchange.credential is None or vouched_first
    )
    if vouched:
        groups = exchange.groups or ()
    else:
        groups = consumers.groups(consumer.id) if consumer is not None else ()
    scopes = scope_groups(exchange.credential)
    if scopes:
        groups = (*groups, *scopes)
    if roles_claim is not None and exchange.claims is not None:
        groups = tuple(dict.fromkeys((*groups, *texts_at(exchange.claims, roles_claim))))
    return groups, vouched
