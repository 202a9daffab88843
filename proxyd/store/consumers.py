"""Consumers and what they prove themselves with, indexed for lookups while a request waits.

Made once per generation of the configuration and never changed. API keys and passwords are digests here, as the
load left them: keys are found by theirs, so that how long a lookup takes says nothing of how much of a key was
right. Those that the file has as hashes are found by the id in their text, or by the hash itself. What signatures are verified with is apart from the credential that a request is known by.
"""

from __future__ import annotations

import hmac
from math import inf
from typing import TYPE_CHECKING, Final

from proxyd.crypto.api_keys import PREFIX, KeyText, KeyTextError, fingerprint_of
from proxyd.model.credentials import kong_digest, password_digest
from proxyd.model.entities import Configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxyd.model.entities import (
        BasicAuthCredential,
        Consumer,
        HMACAuthCredential,
        JWTSecret,
        KeyAuthCredential,
        MTLSAuthCredential,
    )

_NOBODY: Final = "0" * 64  # compared with where there is no such name, so that the time does not tell


class Consumers:
    """The consumers of one configuration; each lookup returns None for what is not there.

    ``loaded_at`` is when the configuration was loaded, in seconds since the epoch: what a ``ttl`` counts from.
    """

    def __init__(self, configuration: Configuration | None = None, loaded_at: float = 0.0) -> None:
        file = configuration or Configuration()
        self.by_id: dict[str, Consumer] = dict(file.consumers)
        self._by_name: dict[str, Consumer] = {
            one.username: one for one in self.by_id.values() if one.username is not None
        }
        self._by_custom_id = {one.custom_id: one for one in self.by_id.values() if one.custom_id is not None}
        self._keys: dict[str, tuple[KeyAuthCredential, float]] = {}
        self._issued: dict[str, tuple[KeyAuthCredential, float]] = {}
        self._hashed: dict[str, tuple[KeyAuthCredential, float]] = {}
        for key in file.keyauth_credentials.values():
            self._add_key(key, _end(key, loaded_at))
        self._peppers = {pepper.fingerprint: pepper for pepper in file.peppers}
        self._passwords_are_plain = file.transform
        self._basic = {one.username: one for one in file.basicauth_credentials.values()}
        self._hmac = {
            one.username: (one.model_copy(update={"secret": None}), one.secret.encode())
            for one in file.hmacauth_credentials.values()
            if one.secret is not None
        }
        self._jwt = {one.key or one.id: one for one in file.jwt_secrets.values()}
        self._certificates: dict[str, list[MTLSAuthCredential]] = {}
        for one in file.mtls_auth_credentials.values():
            self._certificates.setdefault(one.subject_name, []).append(one)
        groups: dict[str, list[str]] = {}
        for acl in file.acls.values():
            groups.setdefault(acl.consumer, []).append(acl.group)
        self._groups = {consumer: tuple(names) for consumer, names in groups.items()}

    def __repr__(self) -> str:
        return f"<Consumers {len(self.by_id)}>"

    def _add_key(self, key: KeyAuthCredential, end: float) -> None:
        if key.key is not None:
            self._keys[key.key] = (key, end)
        elif key.key_id is not None:
            self._issued[key.key_id] = (key, end)
        elif key.hash is not None:
            self._hashed[key.hash] = (key, end)

    def find(self, name: str) -> Consumer | None:
        """Return the consumer of this id or username, as ``anonymous`` names one."""
        return self.by_id.get(name) or self._by_name.get(name)

    def of_username(self, username: str) -> Consumer | None:
        """Return the consumer of this name."""
        return self._by_name.get(username)

    def of_custom_id(self, custom_id: str) -> Consumer | None:
        """Return the consumer that another system calls so."""
        return self._by_custom_id.get(custom_id)

    def certificate(self, name: str) -> Sequence[MTLSAuthCredential]:
        """Return the credentials that a name in a client's certificate stands for, each under its own authority."""
        return self._certificates.get(name, ())

    def groups(self, consumer: str) -> tuple[str, ...]:
        """Return the groups of a consumer, by its id, in the order of the file."""
        return self._groups.get(consumer, ())

    def key(self, digest: str) -> tuple[KeyAuthCredential | None, float]:
        """Return the credential whose API key has this digest, and when it ends, in seconds since the epoch."""
        return self._keys.get(digest, (None, inf))

    def hashed_key(self, key: bytes) -> tuple[KeyAuthCredential | None, float]:
        """Do so for a key that the file has a hash of, by its text."""
        if key.startswith(PREFIX):
            return self._issued_key(key) if self._issued else (None, inf)
        if self._hashed:
            for pepper in self._peppers.values():
                found = self._hashed.get(pepper.seal(key))
                if found is not None:
                    return found
        return None, inf

    def _issued_key(self, key: bytes) -> tuple[KeyAuthCredential | None, float]:
        try:
            found = self._issued.get(KeyText(key).id)
        except KeyTextError:  # most of what is tried out ends here, before anything is computed
            return None, inf
        if found is None:
            return None, inf
        wanted = found[0].hash or ""
        pepper = self._peppers.get(fingerprint_of(wanted))
        if pepper is None or not hmac.compare_digest(pepper.seal(key), wanted):
            return None, inf
        return found

    def basic(self, username: str) -> BasicAuthCredential | None:
        """Return the credential of this name for basic-auth."""
        return self._basic.get(username)

    def is_password(self, credential: BasicAuthCredential | None, presented: str) -> bool:
        """Whether this is the credential's password; without one it takes as long, and is not."""
        consumer = credential.consumer if credential is not None else ""
        if credential is not None and credential.hash is not None:
            pepper = self._peppers.get(fingerprint_of(credential.hash))
            return pepper is not None and hmac.compare_digest(
                pepper.seal_password(presented, consumer), credential.hash
            )
        stored = presented if self._passwords_are_plain else kong_digest(presented, consumer)
        wanted = credential.password or _NOBODY if credential is not None else _NOBODY
        return hmac.compare_digest(password_digest(stored, consumer), wanted)

    def hmac(self, username: str) -> tuple[HMACAuthCredential, bytes] | None:
        """Return the signing credential of this name, and the secret that it does not show."""
        return self._hmac.get(username)

    def jwt(self, key: str) -> JWTSecret | None:
        """Return the credential that the key claim of a token names."""
        return self._jwt.get(key)


def _end(credential: KeyAuthCredential, loaded_at: float) -> float:
    """Return when a key ends, in seconds since the epoch."""
    end = inf if credential.expires_at is None else credential.expires_at
    return min(end, loaded_at + credential.ttl) if credential.ttl else end
