"""What consumers prove themselves with. Their secret fields are in no repr and no message."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxyd.model.base import Stored
from proxyd.model.grammar import Text

JWTAlgorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "ES256",
    "ES384",
    "ES512",
    "PS256",
    "PS384",
    "PS512",
    "EdDSA",
]


class KeyAuthCredential(Stored):
    """A consumer's API key."""

    key: Text = Field(repr=False)
    """The key."""
    consumer: str
    """Id of the consumer."""
    ttl: int | None = Field(None, ge=0)
    """Accepted for Kong's sake: seconds to live, which a file cannot count down."""


class BasicAuthCredential(Stored):
    """A consumer's name and password."""

    username: Text
    """Name in the Authorization header."""
    password: Text = Field(repr=False)
    """Password; a salted SHA-1 digest where the file says ``_transform: false``."""
    consumer: str
    """Id of the consumer."""


class HMACAuthCredential(Stored):
    """A consumer's signing secret."""

    username: Text
    """Name in the Authorization header."""
    secret: Text | None = Field(None, repr=False)
    """The secret."""
    consumer: str
    """Id of the consumer."""


class JWTSecret(Stored):
    """A key that a consumer's tokens are verified with."""

    key: Text | None = None
    """Value of the claim that names this credential."""
    secret: Text | None = Field(None, repr=False)
    """Secret for the HS algorithms."""
    rsa_public_key: str | None = None
    """Public key in PEM for the other algorithms."""
    algorithm: JWTAlgorithm = "HS256"
    """The one algorithm that this key verifies."""
    consumer: str
    """Id of the consumer."""


class ACL(Stored):
    """A group that a consumer is in."""

    group: Text
    """Name of the group."""
    consumer: str
    """Id of the consumer."""
