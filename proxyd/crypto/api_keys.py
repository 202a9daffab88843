"""API keys of the gateway's own making, and what is kept of one in place of its text.

``pxd_<env>_<id>_<secret>_<crc>``: ``pxd_`` is for secret scanners to find, ``env`` says where a key is for (``live``,
``test``), ``id`` is public and finds the credential, ``secret`` is 190 bits of chance, and ``crc`` the CRC-32 of all
before it, by which anybody can tell a key from what only looks like one. Kept is an HMAC-SHA-256 of the text, under a
pepper that stands elsewhere: whoever reads the file or the database can neither use a key nor try out guesses.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = b"pxd_"
SCANNED: Final = r"\bpxd_[a-z0-9]{1,16}_[0-9A-Za-z]{12}_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}\b"
"""What secret scanners look for; a hit is a key where its checksum is right."""
ENVIRONMENT: Final = re.compile(r"[a-z0-9]{1,16}")
KEY_ID: Final = re.compile(r"[0-9A-Za-z]{12}")
SEALED: Final = re.compile(r"v1:([0-9a-f]{12}):[0-9a-f]{64}")

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID, _SECRET, _CHECKSUM = 12, 32, 6  # characters of base 62
_KEY: Final = re.compile(rb"(pxd_([a-z0-9]{1,16})_([0-9A-Za-z]{12})_[0-9A-Za-z]{32}_)([0-9A-Za-z]{6})")
_ABOUT: Final = b"proxyd pepper"
_OF_KEYS: Final = b"proxyd key\0"
_OF_PASSWORDS: Final = b"proxyd password\0"


class KeyTextError(ValueError):
    """A text is no key; the reason holds none of it."""


class KeyText:
    """A key in clear. Nothing shows ``text`` but who asks for it."""

    __slots__ = ("environment", "id", "text")

    def __init__(self, text: bytes) -> None:
        """Take a text apart; raises KeyTextError where it is no key, or not all of it is right."""
        match = _KEY.fullmatch(text)
        if match is None:
            raise KeyTextError("it is not of the form pxd_<env>_<id>_<secret>_<crc>")
        if _checksum(match[1][:-1]) != match[4]:
            raise KeyTextError("its checksum is wrong: mistyped, cut, or made up")
        self.environment = match[2].decode()
        self.id = match[3].decode()
        self.text = text.decode()

    def __repr__(self) -> str:
        return f"<KeyText {self.environment} {self.id}>"

    @classmethod
    def make(cls, environment: str) -> KeyText:
        """Make a key that there was never before."""
        start = f"pxd_{environment}_{_random(_ID)}_{_random(_SECRET)}".encode()
        return cls(start + b"_" + _checksum(start))


def _random(size: int) -> str:
    return "".join([secrets.choice(_ALPHABET) for _ in range(size)])


def _checksum(text: bytes) -> bytes:
    """Return the CRC-32 in base 62, its leading zeros too."""
    number, digits = zlib.crc32(text), ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits.encode()


@dataclass(frozen=True, slots=True)
class Pepper:
    """A secret without which nothing that was sealed with it can be compared; ``fingerprint`` tells it from others."""

    secret: bytes = field(repr=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        """Compute the fingerprint, once."""
        object.__setattr__(self, "fingerprint", hmac.digest(self.secret, _ABOUT, "sha256").hex()[:12])

    def seal(self, key: bytes) -> str:
        """Return what is kept of a key: ``v1:<fingerprint of the pepper>:<HMAC-SHA-256>``."""
        return self._sealed(_OF_KEYS + key)

    def seal_password(self, password: str, consumer: str) -> str:
        """Return the same of a password, of a consumer by its id."""
        return self._sealed(
            b"%b%b\0%b" % (_OF_PASSWORDS, consumer.encode(), password.encode("utf-8", "surrogateescape"))
        )

    def _sealed(self, text: bytes) -> str:
        return f"v1:{self.fingerprint}:{hmac.digest(self.secret, text, 'sha256').hex()}"


def fingerprint_of(sealed: str) -> str:
    """Return the fingerprint of the pepper that something was sealed with, "" where it is not sealed at all."""
    match = SEALED.fullmatch(sealed)
    return match[1] if match is not None else ""
