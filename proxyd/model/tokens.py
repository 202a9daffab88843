"""Who administers the gateway, as settings give it: tokens with a role each, and the pages that may ask."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args
from urllib.parse import urlsplit

from proxyd.model import units

Role = Literal["viewer", "operator", "admin"]
SHORTEST: Final = 20  # characters of a secret: what a person thinks up is shorter
DIGEST: Final = "sha256="  # in front of the digest that stands in a secret's place

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AdminToken:
    """Who has the secret has the role. ``name`` is who that is; of the secret there is only the digest."""

    role: Role
    name: str
    digest: bytes = field(repr=False)


def digest_of(secret: str) -> bytes:
    """Return the digest by which a secret is known."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def parse_tokens(value: object) -> tuple[AdminToken, ...]:
    """Return the tokens in words such as ``viewer:SECRET`` or ``ann=admin:SECRET``; raises ValueError, which never holds one.

    What stands before the first colon is the name and the role, so that a secret may hold anything.
    """
    tokens: dict[bytes, AdminToken] = {}
    for number, word in enumerate(units.words(value), 1):
        token = _parse(number, word)
        if token.digest in tokens:
            raise ValueError(
                f"token {number} has the secret of another one", "each secret belongs to one name and role"
            )
        tokens[token.digest] = token
    return tuple(tokens.values())


def _parse(number: int, word: str) -> AdminToken:
    who, colon, secret = word.partition(":")
    name, equals, role = who.rpartition("=")
    if role not in get_args(Role) or not colon:
        raise ValueError(
            f"token {number} must be ROLE:SECRET or NAME=ROLE:SECRET",
            f"a role is one of {', '.join(get_args(Role))}",
        )
    if equals and not _NAME.fullmatch(name):
        raise ValueError(
            f"the name of token {number} is no name", "64 letters, digits and . _ @ + - at most, such as ann"
        )
    if any(character.isspace() for character in secret):
        raise ValueError(f"token {number} holds white space", "tokens are separated by commas")
    if secret.startswith(DIGEST):
        if not _HEX.fullmatch(digest := secret.removeprefix(DIGEST)):
            raise ValueError(
                f"the digest of token {number} is none: 64 hexadecimal digits", "printf %s SECRET | sha256sum"
            )
        return AdminToken(cast("Role", role), name or role, bytes.fromhex(digest))
    if len(secret) < SHORTEST:
        raise ValueError(
            f"token {number} is too short: {SHORTEST} characters at least", "openssl rand -hex 24"
        )
    return AdminToken(cast("Role", role), name or role, digest_of(secret))


def parse_origins(value: object) -> tuple[str, ...]:
    """Return the origins of URLs, as a browser writes them: ``https://admin.example:8443``; raises ValueError."""
    return tuple(dict.fromkeys(_origin(word) for word in units.words(value)))


def _origin(word: str) -> str:
    wrong = ValueError(f"'{word}' is no page's URL", "such as https://admin.example or http://localhost:8002")
    if "*" in word:
        raise ValueError(f"'{word}' would let every page in", "name them, as https://admin.example")
    try:
        url = urlsplit(word)
        port = url.port
    except ValueError:
        raise wrong from None
    if url.scheme not in _PORTS or not url.hostname or url.username is not None or not word.isascii():
        raise wrong
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" + ("" if port in (None, _PORTS[url.scheme]) else f":{port}")
