"""acl: which groups, or roles of a token, may use a route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.exchange import Reply
from proxyd.identity import header_value

if TYPE_CHECKING:
    from proxyd.exchange import Exchange


class Config(plugin.Config):
    """Settings of acl (Kong's ``kong/plugins/acl/schema.lua``)."""

    allow: tuple[str, ...] | None = Field(None, min_length=1)
    """Groups of which one is needed; not together with deny."""
    deny: tuple[str, ...] | None = Field(None, min_length=1)
    """Groups of which none may be there."""
    hide_groups_header: bool = False
    """Whether the upstream is not told the groups."""
    always_use_authenticated_groups: bool = False
    """Whether groups of an authentication plugin count even where a consumer has groups of its own."""
    roles_claim: str | None = Field(None, min_length=1)
    """Path into a token's claims (``roles``, ``realm_access.roles``) whose values count as groups too; not Kong's."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.allow is None) == (self.deny is None):
            raise ValueError("exactly one of allow and deny is needed")
        return self


class Acl(plugin.Plugin[Config]):
    """Lets pass who is in one of the groups, or in none of them."""

    name = "acl"
    priority = 950
    answers = (
        (401, "nobody has been authenticated"),
        (403, "the groups do not allow it"),
    )

    def prepare(self) -> None:
        """Make a set of the list, and steps of the path."""
        config = self.config
        self._listed = frozenset(config.allow or config.deny or ())
        self._allows = config.allow is not None
        self._claim = config.roles_claim.split(".") if config.roles_claim else None

    def access(self, exchange: Exchange) -> Reply | None:
        """Compare the groups."""
        consumer = exchange.consumer
        if consumer is None and exchange.groups is None and exchange.claims is None:
            return Reply(401, "Unauthorized")
        own = self.kit.consumers.groups(consumer.id) if consumer is not None else ()
        groups, header = own, b"X-Consumer-Groups"
        if exchange.groups is not None and (self.config.always_use_authenticated_groups or not own):
            groups, header = exchange.groups, b"X-Authenticated-Groups"
        if self._claim is not None and exchange.claims is not None:
            groups = tuple(dict.fromkeys((*groups, *roles(exchange.claims, self._claim))))
        if self._listed.isdisjoint(groups) == self._allows:
            return Reply(403, "You cannot consume this service")
        if groups and not self.config.hide_groups_header:
            exchange.headers.set(header, header_value(", ".join(groups)))
        return None


def roles(claims: dict[str, Any], path: list[str]) -> tuple[str, ...]:
    """Return the texts at a path into claims: of a list, or of one text separated by spaces; none of anything else."""
    value: Any = claims
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
