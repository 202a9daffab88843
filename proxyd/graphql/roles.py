"""Roles: what permissions, and other things that are not for everybody, are given to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyd.bases.groups import groups_of
from proxyd.identity import is_known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxyd.exchange import Exchange
    from proxyd.store.consumers import Consumers

ANONYMOUS = "anonymous"  # the role of callers whom no authentication plugin knows

_REMEMBERED = 1024  # combinations of groups


class Roles:
    """Tells the roles of callers: their groups, as ``acl`` would see them, and ``anonymous``.

    Of them, only those in ``named`` are told: what is decided by roles can then be remembered by them.
    """

    def __init__(self, consumers: Consumers, named: Iterable[str], roles_claim: str | None = None) -> None:
        self._consumers = consumers
        self._named = frozenset(named)
        self._roles_claim = roles_claim
        self._made: dict[tuple[str, ...], frozenset[str]] = {}

    def __repr__(self) -> str:
        return f"<Roles {sorted(self._named)}>"

    def of(self, exchange: Exchange) -> frozenset[str]:
        """Return the roles of whoever asks."""
        groups, _ = groups_of(exchange, self._consumers, self._roles_claim)
        if not is_known(exchange):
            groups = (*groups, ANONYMOUS)
        roles = self._made.get(groups)
        if roles is None:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            roles = self._made[groups] = self._named.intersection(groups)
        return roles
