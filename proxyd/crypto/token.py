"""A JSON Web Token taken apart (RFC 7515 section 3.1, RFC 7519): nothing in it is believed yet.

What two readers might understand differently is refused: more or fewer than three parts, padding and other
alphabets, members that stand twice, extensions that must be understood (``crit``). Keys and addresses of keys that
a token carries (``jwk``, ``jku``, ``x5c``, ``x5u``) are never looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

import orjson

from proxyd.crypto.keys import ALGORITHMS
from proxyd.errors import ProxydError

MAX_SIZE = 16 * 1024  # bytes; of the identity providers' own limits, the largest is half of it

_PARTS = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


class BadTokenError(ProxydError):
    """A text is no token that could be verified; the reasons are Kong's where Kong has one."""


class Token:
    """The parts of a token; ``signed`` is what the signature is over."""

    __slots__ = ("algorithm", "claims", "header", "signature", "signed")

    def __init__(self, text: bytes) -> None:
        if len(text) > MAX_SIZE:
            raise BadTokenError("too large")
        if not _PARTS.fullmatch(text):
            raise BadTokenError("invalid JSON")
        self.signed, _, signature = text.rpartition(b".")
        header, _, claims = self.signed.partition(b".")
        self.header: dict[str, Any] = _read(header, "invalid JSON")
        algorithm = self.header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise BadTokenError("invalid alg")
        self.algorithm = algorithm
        if "crit" in self.header:  # RFC 7515 section 4.1.11: not one extension is implemented
            raise BadTokenError("unknown crit")
        self.claims: dict[str, Any] = _read(claims, "invalid claims")
        self.signature = _decode(signature, "invalid signature")
        if not self.signature:
            raise BadTokenError("invalid signature")

    def __repr__(self) -> str:
        return f"<Token {self.algorithm}>"  # its claims are its bearer's business


def _decode(part: bytes, reason: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except binascii.Error:
        raise BadTokenError(reason) from None


def _read(part: bytes, reason: str) -> dict[str, Any]:
    text = _decode(part, reason)
    try:
        # orjson refuses what is not UTF-8 or not JSON; json sees what stands twice.
        value = orjson.loads(text)
        json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise BadTokenError("invalid JSON") from None
    if not isinstance(value, dict):
        raise BadTokenError(reason)
    return value


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a member stands twice")
