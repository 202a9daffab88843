"""What is signed, and how a signature is written.

The header's value is ``v1;id=<key>;ts=<seconds>;nonce=<hex>;body=<digest>;sig=<hex>``. The signature is HMAC-SHA256
(RFC 2104), in hexadecimal, over these lines, joined by a line feed: ``v1``, key id, timestamp, nonce, method, target,
consumer id, body digest. The target is path and query as the backend receives them; the consumer is X-Consumer-ID,
empty where nobody is known; the digest is the body's SHA-256 in hexadecimal, or ``unsigned``.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

VERSION = "v1"
UNSIGNED = "unsigned"  # the body is not part of what is signed
MAX_LENGTH = 512  # characters of a header that is looked at


class Signature(NamedTuple):
    """The parts of a header, not yet believed."""

    key: str
    timestamp: int
    nonce: str
    digest: str
    mac: str


def sign(  # what is signed, by name
    key: str,
    secret: bytes,
    *,
    method: str,
    target: str,
    consumer: str,
    digest: str,
    timestamp: int,
    nonce: str,
) -> str:
    """Return the header's value for a request."""
    signed = "\n".join((VERSION, key, str(timestamp), nonce, method, target, consumer, digest))
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest()
    return f"{VERSION};id={key};ts={timestamp};nonce={nonce};body={digest};sig={mac}"


def parse(value: str) -> Signature | None:
    """Return the parts of a header's value, or None where it is not one."""
    if len(value) > MAX_LENGTH or not value.isascii():
        return None
    version, *parts = value.split(";")
    names = [part.partition("=")[0] for part in parts]
    if version != VERSION or names != ["id", "ts", "nonce", "body", "sig"]:
        return None
    key, timestamp, nonce, digest, mac = (part.partition("=")[2] for part in parts)
    if not (key and nonce and mac and timestamp.isdigit() and len(timestamp) < 16):  # noqa: PLR2004  # year 30 million
        return None
    return Signature(key, int(timestamp), nonce, digest, mac)
