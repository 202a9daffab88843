"""key-auth: callers prove themselves by an API key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from proxyd import bodies
from proxyd.bases import authentication
from proxyd.bases.authentication import Authentication
from proxyd.bases.phases.keys import Keys
from proxyd.model.grammar import HeaderName, Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange, Reply

MAX_BODY = 1024 * 1024  # bytes of a body that is looked through for a key


class Config(authentication.Config):
    """Settings of key-auth (Kong's ``kong/plugins/key-auth/schema.lua``)."""

    key_names: tuple[HeaderName, ...] = Field(("apikey",), min_length=1)
    """Names under which the key is looked for, each in every place before the next; the first that is there counts."""
    hide_credentials: bool = False
    """Whether whatever stands under these names is kept from the upstream."""
    key_in_header: bool = True
    """Whether it is looked for in headers, before anything else."""
    key_in_query: bool = True
    """Whether it is looked for in the query, after the headers."""
    key_in_body: bool = False
    """Whether it is looked for in a form, a multipart form or a JSON object, last; a larger one than 1 MiB is refused."""
    realm: str | None = None
    """Realm of the challenge."""
    scopes_required: tuple[Scope, ...] = ()
    """Scopes that a key needs to be let in; keys of Kong's have none. Not Kong's."""
    scopes_match: Literal["all", "any"] = "all"
    """Whether a key needs all of them, or one. Not Kong's."""


class KeyAuth(Authentication[Config]):
    """Finds the consumer by an API key."""

    name = "key-auth"
    priority = 1250
    answers = (
        *Authentication.answers,
        (403, "the key has not the scopes that are required; with anonymous, it counts as no key"),
        (
            413,
            "key_in_body asks for a look into a body that is larger than 1 MiB, or has more than 2000 fields",
        ),
    )

    def prepare(self) -> None:
        """Write the names as headers have them, and have no log show what stands under them."""
        config = self.config
        self.secret_arguments = config.key_names
        self._keys = Keys(
            config.key_names,
            self.kit.consumers,
            self.kit.clock.time,
            in_header=config.key_in_header,
            in_query=config.key_in_query,
            hides=config.hide_credentials,
            realm=config.realm,
            scopes=frozenset(config.scopes_required),
            any_scope=config.scopes_match == "any" and bool(config.scopes_required),
            used=self.kit.used,
        )
        if not config.key_in_body and config.anonymous is None and config.run_on_preflight:
            self.direct = {"access": self._keys.access}

    def authenticate(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Look the key up; the body is waited for only where it may decide, or holds what is to be hidden."""
        if self.config.key_in_body and exchange.body is not None and _has_fields(exchange):
            name, headers = self._keys.names[0]
            if self.config.hide_credentials or not self._keys.in_head(exchange, name, headers):
                return self._look_in_body(exchange)
        return self._keys.access(exchange)

    async def _look_in_body(self, exchange: Exchange) -> Reply | None:
        body = exchange.buffered
        if body is None:
            body = await exchange.body.read(MAX_BODY)  # type: ignore[union-attr]  # looked at before
        return self._keys.decide(exchange, bodies.find(exchange.headers.get(b"content-type") or b"", body))


def _has_fields(exchange: Exchange) -> bool:
    return bodies.media_type(exchange.headers.get(b"content-type") or b"") in bodies.READERS
