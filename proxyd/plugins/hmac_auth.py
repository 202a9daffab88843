"""hmac-auth: callers prove themselves by signing their requests (draft-cavage-http-signatures-00, as Kong reads it)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pydantic import Field

from proxyd.bases import authentication
from proxyd.bases.authentication import Authentication, unauthorized
from proxyd.identity import identify

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange, Reply
    from proxyd.model.entities import Consumer, HMACAuthCredential

MAX_BODY = (
    8 * 1024 * 1024
)  # bytes of a body whose digest is compared; only who has signed its head gets so far
NO_DATE = (
    "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication"
)
NOT_VALID = "HMAC signature cannot be verified"
NOT_SAME = "HMAC signature does not match"

Algorithm = Literal["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]

_PARAMETERS: Final = re.compile(r'([a-z]+)="([^"]*)"(?:,\s*|\s*$)')
_DATES: Final = ("x-date", "date")


class Config(authentication.Config):
    """Settings of hmac-auth (Kong's ``kong/plugins/hmac-auth/schema.lua``)."""

    hide_credentials: bool = False
    """Whether the signature is kept from the upstream."""
    clock_skew: float = Field(300, gt=0)
    """Seconds by which X-Date or Date may differ from the gateway's clock."""
    validate_request_body: bool = False
    """Whether the body is compared with the Digest header, which must be signed; one over 8 MiB is refused."""
    enforce_headers: tuple[str, ...] = ()
    """Names that must be signed; ``@request-target`` and ``request-line`` are two."""
    algorithms: tuple[Algorithm, ...] = Field(
        ("hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"), min_length=1
    )
    """Algorithms that are accepted."""
    realm: str | None = None
    """Realm of the challenge."""


class Signature(NamedTuple):
    """What a request says of its signature: ``names`` as they are written in it, ``signed`` in lower case."""

    username: str
    algorithm: str
    names: list[str]
    signed: frozenset[str]
    value: bytes


class Signer(NamedTuple):
    """Who the signature is said to be of."""

    consumer: Consumer
    credential: HMACAuthCredential
    secret: bytes

    def __repr__(self) -> str:
        return f"<Signer {self.credential.username}>"


class HmacAuth(Authentication[Config]):
    """Finds the consumer by a signature over parts of the request."""

    name = "hmac-auth"
    priority = 1030
    answers = (
        *Authentication.answers,
        (413, "the body is larger than 8 MiB, with validate_request_body"),
    )

    def prepare(self) -> None:
        """Write the names in lower case."""
        self._enforced = frozenset(name.lower() for name in self.config.enforce_headers)

    def authenticate(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Compare the signature, and then the body's digest where that is asked for."""
        if b"authorization" not in exchange.headers and b"proxy-authorization" not in exchange.headers:
            return self._refuse("Unauthorized")
        signature = self._take(exchange, b"proxy-authorization") or self._take(exchange, b"authorization")
        if not self._is_fresh(exchange, signature):
            return self._refuse(NO_DATE)
        signer = self._signer(signature)
        if signature is None or signer is None:
            return self._refuse(NOT_VALID)
        right = hmac.digest(signer.secret, _signed_text(exchange, signature.names), signature.algorithm[5:])
        if not hmac.compare_digest(right, signature.value):
            return self._refuse(NOT_SAME)
        if self.config.validate_request_body and exchange.buffered is None and exchange.request.framing:
            return self._read(exchange, signature, signer)
        return self._decide(exchange, signature, signer, exchange.buffered or b"")

    async def _read(self, exchange: Exchange, signature: Signature, signer: Signer) -> Reply | None:
        body = await exchange.body.read(MAX_BODY)  # type: ignore[union-attr]  # a request's is set
        return self._decide(exchange, signature, signer, body)

    def _decide(self, exchange: Exchange, signature: Signature, signer: Signer, body: bytes) -> Reply | None:
        if self.config.validate_request_body and not _is_digest(exchange, signature, body):
            return self._refuse(NOT_SAME)
        identify(exchange, signer.consumer, signer.credential, signer.credential.username)
        return None

    def _signer(self, signature: Signature | None) -> Signer | None:
        """Find out who has signed, if that much is signed as must be."""
        if signature is None or signature.algorithm not in self.config.algorithms:
            return None
        known = self.kit.consumers.hmac(signature.username) if self._enforced <= signature.signed else None
        if known is None:
            return None
        consumer = self.kit.consumers.by_id.get(known[0].consumer)
        return Signer(consumer, *known) if consumer is not None else None

    def _refuse(self, message: str) -> Reply:
        return unauthorized(message, "hmac", self.config.realm)

    def _take(self, exchange: Exchange, header: bytes) -> Signature | None:
        """Read a signature, and hide it; what is of another scheme is another plugin's or the upstream's."""
        scheme, _, parameters = (exchange.headers.get(header) or b"").partition(b" ")
        if scheme.lower() != b"hmac":
            return None
        if self.config.hide_credentials:
            exchange.headers.remove(header)
        return _parse(parameters)

    def _is_fresh(self, exchange: Exchange, signature: Signature | None) -> bool:
        """Whether a date is near enough: a signed one, if any is. Kong lets an unsigned one make up for it."""
        names = [name for name in _DATES if signature is not None and name in signature.signed] or _DATES
        now = self.kit.clock.time()
        for name in names:
            moment = _moment(exchange.headers.get(name.encode()))
            if moment is not None and abs(now - moment) <= self.config.clock_skew:
                return True
        return False


def _parse(parameters: bytes) -> Signature | None:
    try:
        text = parameters.decode().strip()
    except UnicodeDecodeError:
        return None
    given: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETERS.match(text, at)
        if match is None or match[1] in given:
            return None
        given[match[1]] = match[2]
        at = match.end()
    names = given.get("headers", "").split()
    try:
        value = base64.b64decode(given.get("signature", ""), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not names or not given.get("username") or not value:
        return None
    signed = frozenset(name.lower() for name in names)
    if len(signed) < len(names):  # a few kilobytes could ask for megabytes to be signed
        return None
    return Signature(given["username"], given.get("algorithm", ""), names, signed, value)


def _signed_text(exchange: Exchange, names: list[str]) -> bytes:
    """Write what the client has signed: a line per name, the name alone where there is no such header."""
    request = exchange.request
    target = request.target if request.target.startswith("/") else request.path + request.query
    lines = []
    for name in names:
        value = (
            request.host.encode() if name.lower() == "host" else request.headers.get(name.lower().encode())
        )
        if value is not None:
            lines.append(b"%b: %b" % (name.encode(), value))
        elif name == "request-line":
            lines.append(f"{request.method} {target} HTTP/1.{request.minor}".encode())
        elif name == "@request-target":
            lines.append(f"@request-target: {request.method.lower()} {target}".encode())
        else:
            lines.append(f"{name}:".encode())
    return b"\n".join(lines)


def _moment(value: bytes | None) -> float | None:
    """Return what an HTTP date says, in seconds since the epoch; None if it says nothing."""
    try:
        moment = parsedate_to_datetime((value or b"").decode("ascii"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _is_digest(exchange: Exchange, signature: Signature, body: bytes) -> bool:
    """Whether Digest (RFC 3230) is the body's; without one there must be no body. One not signed proves nothing."""
    given = exchange.headers.get(b"digest")
    if given is None:
        return not body
    name, _, value = given.partition(b"=")
    right = base64.b64encode(hashlib.sha256(body).digest())
    return "digest" in signature.signed and name.lower() == b"sha-256" and hmac.compare_digest(value, right)
