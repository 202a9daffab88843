"""Token issuers whose keys are published: what a file says of one, and whether a token is theirs.

This is beyond Kong, whose jwt knows one key per credential. A token is believed for its signature, its issuer, its
audience and its times; the consumer that it stands for, if any, is found by one of its claims.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field, field_validator, model_validator

from proxyd.crypto.keys import SIGNED, KeySet
from proxyd.identity import claim_at, texts_at
from proxyd.model.base import Entity, Stored
from proxyd.model.grammar import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.crypto.keys import Key
    from proxyd.crypto.token import Token
    from proxyd.issuers.keysets import KeySets, Source
    from proxyd.model.entities import Consumer
    from proxyd.store.consumers import Consumers

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
assert set(SIGNED) == set(Algorithm.__args__)  # type: ignore[attr-defined]  # noqa: S101


class IssuerConfig(Entity):
    """An issuer of tokens, and where its keys are."""

    issuer: Text
    """What the tokens' iss says, to the letter."""
    audience: tuple[Text, ...] | None = Field(None, min_length=1)
    """Of these, the tokens' aud must hold one; none: it is not looked at."""
    jwks_uri: str | None = None
    """Where its keys are published; https, but on this machine."""
    jwks_allow_http: bool = False
    """Whether plain http will do elsewhere too: whoever can change that answer can make tokens."""
    jwks_timeout: float = Field(5.0, gt=0, le=60)
    """Seconds that a request may wait for keys that its token needs."""
    jwks: dict[str, Any] | None = None
    """Its keys themselves, in place of jwks_uri."""
    algorithms: tuple[Algorithm, ...] | None = Field(None, min_length=1)
    """Algorithms allowed; none: of each key, the one that it names, or else RS256, ES256, ES384, ES512 or EdDSA by its kind."""
    consumer_claim: Text | None = None
    """Path to the claim by which a consumer is found; none: its tokens are of no consumer."""
    consumer_by: tuple[Literal["id", "username", "custom_id"], ...] = Field(("custom_id",), min_length=1)
    """What of a consumer the claim is compared with, in this order."""
    consumer_required: bool = False
    """Whether a token for which no consumer is found is refused."""
    identity_claim: Text = "sub"
    """Path to the claim that tells callers apart: X-Credential-Identifier, and what limits by credential count."""
    groups_claim: Text | None = None
    """Path to the claim whose values are groups for acl, for callers who are no consumer; for others where acl's always_use_authenticated_groups says so."""

    @field_validator("jwks")
    @classmethod
    def _usable(cls, document: dict[str, Any] | None) -> dict[str, Any] | None:
        if document is not None and (ignored := KeySet(document).ignored):
            raise ValueError("; ".join(ignored))
        return document

    @model_validator(mode="after")
    def _keys(self) -> Self:
        if (self.jwks is None) == (self.jwks_uri is None):
            raise ValueError("exactly one of jwks_uri and jwks is needed")
        if self.jwks_uri is not None:
            check_uri(self.jwks_uri, plain=self.jwks_allow_http)
        if self.consumer_required and self.consumer_claim is None:
            raise ValueError("consumer_required needs consumer_claim")
        return self


def check_uri(uri: str, *, plain: bool) -> None:
    """Refuse an address that keys must not be fetched from; raises ValueError."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  # it is read as it is asked for
    except ValueError:
        raise ValueError("jwks_uri is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("jwks_uri must begin with https:// and a host")
    if parts.username is not None or parts.fragment:
        raise ValueError("jwks_uri must hold neither a user name nor a fragment")
    if parts.scheme == "http" and not plain and not _is_here(parts.hostname):
        raise ValueError("jwks_uri must be https; jwks_allow_http allows http")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Issuer:
    """An issuer as requests meet it."""

    __slots__ = ("_audience", "_consumer", "_groups", "_identity", "_inline", "config", "source")

    def __init__(self, config: IssuerConfig) -> None:
        self.config = config
        self.source: Source | None = None
        self._inline = KeySet(config.jwks) if config.jwks is not None else None
        self._audience = frozenset(config.audience) if config.audience is not None else None
        self._consumer = config.consumer_claim
        self._identity = config.identity_claim
        self._groups = config.groups_claim

    def __repr__(self) -> str:
        return f"<Issuer {self.config.issuer} {self.source or self._inline}>"

    # --- its keys --------------------------------------------------------------------------------------------

    def start(self, key_sets: KeySets) -> None:
        """Begin to follow its keys."""
        if self.config.jwks_uri is not None:
            self.source = key_sets.hold(self.config.jwks_uri)

    async def stop(self, key_sets: KeySets) -> None:
        """Let go of them; harmless if not started."""
        source, self.source = self.source, None
        if source is not None:
            await key_sets.release(source)

    @property
    def keys(self) -> KeySet | None:
        """The keys now; None while they are not known yet."""
        return self.source.keys if self.source is not None else self._inline

    @property
    def version(self) -> int:
        """What changes with the keys."""
        return self.source.version if self.source is not None else 0

    # --- its tokens ------------------------------------------------------------------------------------------

    def allows(self, key: Key, algorithm: str) -> bool:
        """Whether this key may have signed with this algorithm."""
        allowed = self.config.algorithms
        return algorithm == key.preferred if allowed is None else algorithm in allowed

    def candidates(self, token: Token) -> Sequence[Key]:
        """Return the keys known now that a token may be signed with."""
        keys = self.keys
        return keys.candidates(token.header.get("kid")) if keys is not None else ()

    def refuses_signature(self, token: Token) -> str:
        """Say why none of its keys has signed a token, or nothing where one has."""
        keys = self.candidates(token)
        if not keys:
            return "No key found for the token"
        name = token.algorithm
        fitting = [key for key in keys if name in key.fitting and self.allows(key, name)]
        if not fitting:
            return "Invalid algorithm"
        verified = any(key.verifies(name, token.signed, token.signature) for key in fitting)
        return "" if verified else "Invalid signature"

    def is_audience(self, claims: dict[str, Any]) -> bool:
        """Whether a token is meant for this gateway."""
        if self._audience is None:
            return True
        told = claims.get("aud")
        if isinstance(told, str):
            return told in self._audience
        return isinstance(told, list) and any(isinstance(one, str) and one in self._audience for one in told)

    def consumer(self, claims: dict[str, Any], consumers: Consumers) -> Consumer | None:
        """Find the consumer that a token stands for."""
        value = _text(claims, self._consumer)
        if value is None:
            return None
        for field in self.config.consumer_by:
            if field == "custom_id":
                found = consumers.of_custom_id(value)
            else:
                found = consumers.find(value)
                if found is not None and getattr(found, field) != value:
                    found = None
            if found is not None:
                return found
        return None

    def groups(self, claims: dict[str, Any]) -> tuple[str, ...] | None:
        """Return the groups that a token vouches for; None where nobody has asked for them."""
        return texts_at(claims, self._groups) if self._groups is not None else None

    def identity(self, token: Token) -> tuple[str | None, Stored]:
        """Return what a token's caller is called, and what takes the place of a credential."""
        name = _text(token.claims, self._identity)
        who = name if name is not None else token.signed.decode()
        return name, Stored(id=str(uuid5(NAMESPACE_URL, f"{self.config.issuer} {who}")))


def _text(claims: dict[str, Any], path: str | None) -> str | None:
    """Return the claim at a path as a text, if it is one or a whole number."""
    value = claim_at(claims, path) if path is not None else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
