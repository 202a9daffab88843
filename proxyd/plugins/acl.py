"""acl: which groups, or roles of a token, may use a route."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

from proxyd import plugin
from proxyd.bases.groups import groups_of
from proxyd.exchange import Reply
from proxyd.identity import header_list

if TYPE_CHECKING:
    from proxyd.exchange import Exchange


class Config(plugin.Config):
    """Settings of acl (Kong's ``kong/plugins/acl/schema.lua``)."""

    renamed: ClassVar[dict[str, str]] = {"whitelist": "allow", "blacklist": "deny"}

    allow: plugin.Listed = None
    """Groups of which one is needed; not together with deny."""
    deny: plugin.Listed = None
    """Groups of which none may be there."""
    hide_groups_header: bool = False
    """Whether the upstream is not told the groups."""
    always_use_authenticated_groups: bool = False
    """Whether groups that an authentication plugin vouches for count in place of a known consumer's own."""
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
        """Make a set of the list."""
        config = self.config
        self._listed = frozenset(config.allow or config.deny or ())
        self._allows = config.allow is not None

    def access(self, exchange: Exchange) -> Reply | None:
        """Compare the groups."""
        consumer = exchange.consumer
        if consumer is None and exchange.groups is None and exchange.claims is None:
            return Reply(401, "Unauthorized")
        config = self.config
        groups, vouched = groups_of(
            exchange,
            self.kit.consumers,
            config.roles_claim,
            vouched_first=config.always_use_authenticated_groups,
        )
        if self._listed.isdisjoint(groups) == self._allows:
            return Reply(403, "You cannot consume this service")
        if groups and not config.hide_groups_header:
            header = b"X-Authenticated-Groups" if vouched or consumer is None else b"X-Consumer-Groups"
            exchange.headers.set(header, header_list(groups))
        return None
