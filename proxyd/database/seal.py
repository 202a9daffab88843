"""What is kept of secrets that are only compared: digests, made at the write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxyd.clock import Clock
from proxyd.crypto.api_keys import PREFIX, KeyText, KeyTextError
from proxyd.errors import ProxydError
from proxyd.model.credentials import kong_digest

if TYPE_CHECKING:
    from proxyd.database.entries import Document
    from proxyd.model.settings import Settings


LONGEST: Final = 100_000_000  # seconds of a ttl, which are three years: what is longer is left for validation


class SealError(ProxydError):
    """A secret cannot be sealed; ``field`` holds it, and the message does not."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def seal(collection: str, document: Document, settings: Settings) -> Document:
    """Return a document as it may be stored: with digests in the place of an API key or a password in clear.

    It has the id of its consumer already, which salts the password. What is no text is left for validation to refuse.
    Raises SealError.
    """
    key, password = document.get("key"), document.get("password")
    if collection == "keyauth_credentials":
        document = _with_end(document)
        if isinstance(key, str) and key and not _is_reference(key):
            return _with_hash(document, key, settings)
    if collection == "basicauth_credentials" and isinstance(password, str) and password:
        if _is_reference(password):
            raise SealError(
                "password", "is kept as a hash, of which a reference tells nothing: give the password"
            )
        return _with_digest(document, password, settings)
    return document


def _is_reference(text: str) -> bool:
    """Whether a secret stands elsewhere, in the environment."""
    return text.startswith("{vault://") and text.endswith("}")


def _with_end(document: Document) -> Document:
    """Say when a key ends, and not for how long it lives: that would be counted anew from each load."""
    ttl = document.get("ttl")
    if not isinstance(ttl, int) or isinstance(ttl, bool) or not 0 <= ttl <= LONGEST:
        return document
    return {**document, "ttl": None, "expires_at": Clock().time() + ttl if ttl else None}


def _with_hash(document: Document, key: str, settings: Settings) -> Document:
    """Hash a key; the id in the text of one that proxyd has made stays with it."""
    if not settings.key_pepper:
        raise SealError(
            "key", "a database holds no keys in clear: set PROXYD_KEY_PEPPER (openssl rand -hex 32)"
        )
    text = key.encode("utf-8", "surrogateescape")
    key_id = None
    if text.startswith(PREFIX):  # of such a form, none is let in whose checksum is wrong
        try:
            key_id = KeyText(text).id
        except KeyTextError as error:
            raise SealError("key", f"is no key that begins like proxyd's own: {error}") from None
    return {**document, "key": None, "key_id": key_id, "hash": settings.key_pepper[0].seal(text)}


def _with_digest(document: Document, password: str, settings: Settings) -> Document:
    """Hash a password; without a pepper, it is Kong's salted digest of it."""
    consumer = str(document.get("consumer", ""))
    if not settings.key_pepper:
        return {**document, "hash": None, "password": kong_digest(password, consumer)}
    return {**document, "password": None, "hash": settings.key_pepper[0].seal_password(password, consumer)}
