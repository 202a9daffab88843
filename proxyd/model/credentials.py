"""What consumers prove themselves with. Their secret fields are in no repr and no message.

API keys and passwords are needed for comparing only, so a load ends with ``sealed``: what it hands over holds
digests of them. Where ``hash`` stands in their place, the file does not hold them either (``crypto.api_keys``).
Secrets that signatures are verified with have to be kept as they are.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from proxyd.crypto.api_keys import KEY_ID, SEALED
from proxyd.model import units
from proxyd.model.base import Stored
from proxyd.model.grammar import Scope, Text

StoredT = TypeVar("StoredT", bound=Stored)


def _sealed(text: str) -> str:
    if not SEALED.fullmatch(text):
        raise ValueError("must be what proxyd makes of a key: v1:<12 hexadecimal digits>:<64 of them>")
    return text


def _key_id(text: str) -> str:
    if not KEY_ID.fullmatch(text):
        raise ValueError("must be the id in a key's text: 12 letters and digits")
    return text


Sealed = Annotated[
    str, AfterValidator(_sealed), WithJsonSchema({"type": "string", "pattern": f"^{SEALED.pattern}$"})
]
KeyId = Annotated[
    str, AfterValidator(_key_id), WithJsonSchema({"type": "string", "pattern": f"^{KEY_ID.pattern}$"})
]
Moment = Annotated[
    float,
    BeforeValidator(units.moment),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]}),
]

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

    key: Text | None = Field(None, repr=False)
    """The key; once loaded, its digest."""
    hash: Sealed | None = Field(None, repr=False)
    """In place of it, what it is compared with under the setting key_pepper, as ``proxyd keys`` makes it; not Kong's."""
    key_id: KeyId | None = None
    """The id in the text of a key that proxyd has made; not Kong's."""
    name: Text | None = None
    """What the key is for, for whoever reads lists of them; not Kong's."""
    scopes: tuple[Scope, ...] = Field((), max_length=64)
    """What the key is good for, where key-auth has scopes_required; not Kong's."""
    consumer: str
    """Id of the consumer."""
    expires_at: Moment | None = None
    """When the key ends: a date with or without a time, in UTC if it does not say, or seconds since the epoch; not Kong's."""
    ttl: int | None = Field(None, ge=0)
    """Seconds to live, counted from each load of the file, as in Kong; 0 is for ever."""


class BasicAuthCredential(Stored):
    """A consumer's name and password."""

    username: Text
    """Name in the Authorization header."""
    password: Text | None = Field(None, repr=False)
    """Password, or a salted SHA-1 digest where the file says ``_transform: false``; once loaded, a digest of either."""
    hash: Sealed | None = Field(None, repr=False)
    """In place of it, what it is compared with under the setting key_pepper; not Kong's."""
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


class MTLSAuthCredential(Stored):
    """A name in client certificates that stands for a consumer."""

    subject_name: Text
    """A subject alternative name or the common name."""
    ca_certificate: str | None = None
    """Id of the CA certificate that has to vouch for it; none: any of the plugin's."""
    consumer: str
    """Id of the consumer."""


class ACL(Stored):
    """A group that a consumer is in."""

    group: Text
    """Name of the group."""
    consumer: str
    """Id of the consumer."""


def key_digest(key: bytes) -> str:
    """Return what an API key is looked up by."""
    return hashlib.sha256(key).hexdigest()


def password_digest(password: str, consumer: str) -> str:
    """Return what a password is compared by, of a consumer by its id."""
    return hashlib.sha256(f"{consumer}:{password}".encode()).hexdigest()


def kong_digest(password: str, consumer: str) -> str:
    """Return the digest by which Kong stores a password: what a file says where it has ``_transform: false``."""
    return hashlib.sha1((password + consumer).encode(), usedforsecurity=False).hexdigest()


def sealed(entity: StoredT, *, transform: bool) -> StoredT:
    """Return an entity without the API key or password in it; ``transform`` as in the file."""
    if isinstance(entity, KeyAuthCredential) and entity.key is not None:
        return entity.model_copy(update={"key": key_digest(entity.key.encode())})
    if isinstance(entity, BasicAuthCredential) and entity.password is not None:
        stored = entity.password if transform else entity.password.lower()
        return entity.model_copy(update={"password": password_digest(stored, entity.consumer)})
    return entity
