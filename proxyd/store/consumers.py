"""Consumers and what they prove themselves with, indexed for lookups while a request waits.

Made once per generation of the configuration and never changed. API keys are found by digest: the index holds
none in clear, and how long a lookup takes says nothing of how much of a key was right.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from proxyd.model.entities import Configuration

if TYPE_CHECKING:
    from proxyd.model.entities import (
        BasicAuthCredential,
        Consumer,
        HMACAuthCredential,
        JWTSecret,
        KeyAuthCredential,
    )


def digest(secret: bytes) -> bytes:
    """Return what a secret is looked up by: its SHA-256, 32 bytes."""
    return hashlib.sha256(secret).digest()


class Consumers:
    """The consumers of one configuration; each lookup returns None for what is not there."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        file = configuration or Configuration()
        self.by_id: dict[str, Consumer] = dict(file.consumers)
        self._by_name: dict[str, Consumer] = {
            one.username: one for one in self.by_id.values() if one.username is not None
        }
        self._by_custom_id = {one.custom_id: one for one in self.by_id.values() if one.custom_id is not None}
        self._keys = {
            digest(one.key.encode()): one.model_copy(update={"key": ""})
            for one in file.keyauth_credentials.values()
        }
        self._passwords_are_plain = file.transform
        self._passwords = {
            one.username: self.digest_password(one.password, one.consumer)
            if file.transform
            else digest(one.password.lower().encode())
            for one in file.basicauth_credentials.values()
        }
        self._basic = {
            one.username: one.model_copy(update={"password": ""})
            for one in file.basicauth_credentials.values()
        }
        self._hmac = {one.username: one for one in file.hmacauth_credentials.values()}
        self._jwt = {one.key or one.id: one for one in file.jwt_secrets.values()}
        groups: dict[str, list[str]] = {}
        for acl in file.acls.values():
            groups.setdefault(acl.consumer, []).append(acl.group)
        self._groups = {consumer: tuple(names) for consumer, names in groups.items()}

    def __repr__(self) -> str:
        return f"<Consumers {len(self.by_id)}>"

    def find(self, name: str) -> Consumer | None:
        """Return the consumer of this id or username, as ``anonymous`` names one."""
        return self.by_id.get(name) or self._by_name.get(name)

    def of_custom_id(self, custom_id: str) -> Consumer | None:
        """Return the consumer that another system calls so."""
        return self._by_custom_id.get(custom_id)

    def groups(self, consumer: str) -> tuple[str, ...]:
        """Return the groups of a consumer, by its id, in the order of the file."""
        return self._groups.get(consumer, ())

    def key(self, presented: bytes) -> KeyAuthCredential | None:
        """Return the credential whose API key this is."""
        return self._keys.get(digest(presented))

    def basic(self, username: str) -> BasicAuthCredential | None:
        """Return the credential of this name for basic-auth; its password is yet to be compared."""
        return self._basic.get(username)

    def password_digest(self, username: str) -> bytes | None:
        """Return what ``digest_password`` of the right password is, 32 bytes."""
        return self._passwords.get(username)

    def digest_password(self, password: str, consumer: str) -> bytes:
        """Return what a password is compared by, of a consumer by its id.

        Where the file holds Kong's digests (``_transform: false``), those are SHA-1 of the password and the id.
        """
        if self._passwords_are_plain:
            return digest(f"{consumer}:{password}".encode())
        salted = hashlib.sha1((password + consumer).encode(), usedforsecurity=False).hexdigest()
        return digest(salted.encode())

    def hmac(self, username: str) -> HMACAuthCredential | None:
        """Return the signing credential of this name."""
        return self._hmac.get(username)

    def jwt(self, key: str) -> JWTSecret | None:
        """Return the credential that the key claim of a token names."""
        return self._jwt.get(key)
