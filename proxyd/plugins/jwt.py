"""jwt: callers prove themselves by a signed token, under a consumer's key or under an issuer's published ones."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import unquote_plus

import orjson
from pydantic import Field, model_validator

from proxyd.bases import authentication
from proxyd.bases.authentication import Authentication
from proxyd.crypto.keys import BadKeyError, Key, from_pem, from_secret
from proxyd.crypto.token import BadTokenError, Token
from proxyd.errors import ProxydError
from proxyd.exchange import Reply
from proxyd.http1.headers import Headers
from proxyd.identity import challenge, identify
from proxyd.issuers.issuer import Issuer, IssuerConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxyd.exchange import Exchange
    from proxyd.issuers.keysets import Source
    from proxyd.model.entities import Consumer, JWTSecret, Stored

YEAR = 31_536_000  # seconds
REMEMBERED = 5_000  # tokens
LONGEST_REMEMBERED = 4096  # bytes: with the former, a bound on memory
REMEMBERED_FOR = 300.0  # seconds, for those that do not expire before


class Config(authentication.Config):
    """Settings of jwt (Kong's ``kong/plugins/jwt/schema.lua``)."""

    key_claim_name: str = Field("iss", min_length=1)
    """Claim, or else header of the token, that names the consumer's credential."""
    claims_to_verify: tuple[Literal["exp", "nbf"], ...] = ()
    """Times that a token under a consumer's key is held to; without exp, it is good for ever, as in Kong."""
    header_names: tuple[str, ...] = ("authorization",)
    """Headers that may hold the token, behind ``Bearer``."""
    uri_param_names: tuple[str, ...] = ("jwt",)
    """Arguments of the query that may hold it."""
    cookie_names: tuple[str, ...] = ()
    """Cookies that may hold it."""
    secret_is_base64: bool = False
    """Whether the consumers' secrets are written in base64."""
    maximum_expiration: float = Field(0, ge=0, le=YEAR)
    """Seconds beyond which exp may not lie ahead, with exp in claims_to_verify; 0: no limit."""
    realm: str | None = None
    """Realm of the challenge."""
    leeway: float = Field(0, ge=0, le=300)
    """Seconds by which an issuer's clock may be off; not Kong's."""
    issuers: tuple[IssuerConfig, ...] = ()
    """Issuers with published keys, whose tokens are good without a credential of a consumer; not Kong's."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.maximum_expiration and "exp" not in self.claims_to_verify:
            raise ValueError("maximum_expiration needs exp in claims_to_verify")
        names = [one.issuer for one in self.issuers]
        if len(set(names)) < len(names):
            raise ValueError("issuers: an issuer stands there twice")
        return self


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token that has been verified comes to, ``until`` seconds since the epoch at most.

    ``version`` is that of the issuer's keys, and counts with them.
    """

    until: float
    claims: dict[str, Any]
    consumer: Consumer | None
    credential: Stored
    identifier: str | None
    groups: tuple[str, ...] | None = None
    issuer: Issuer | None = None
    version: int = 0

    def holds(self, now: float) -> bool:
        """Whether it need not be verified again."""
        return now < self.until and (self.issuer is None or self.issuer.version == self.version)


class Jwt(Authentication[Config]):
    """Finds out who calls by a JSON Web Token."""

    name = "jwt"
    priority = 1450
    answers = (
        *Authentication.answers,
        (503, "the keys of the token's issuer have never been fetched so far"),
    )

    def prepare(self) -> None:
        """Write the names and the challenges out."""
        config = self.config
        self._headers = tuple(name.lower().encode() for name in config.header_names)
        self._cookies = frozenset(name.encode() for name in config.cookie_names)
        self._arguments = frozenset(config.uri_param_names)
        self.secret_arguments = (*config.uri_param_names, *config.header_names)
        self._challenge = challenge("Bearer", config.realm)
        self._invalid = self._challenge + (b"," if config.realm else b"") + b' error="invalid_token"'
        self._issuers = {one.issuer: Issuer(one) for one in config.issuers}
        self._keys: dict[str, Key | None] = {}  # of consumers, by credential
        self._known: dict[bytes, Verified] = {}  # by the token's digest, the oldest first

    async def start(self) -> None:
        """Begin to fetch the issuers' keys."""
        for issuer in self._issuers.values():
            issuer.start(self.kit.key_sets)

    async def stop(self) -> None:
        """Let go of them."""
        for issuer in self._issuers.values():
            await issuer.stop(self.kit.key_sets)

    def authenticate(self, exchange: Exchange) -> Reply | Awaitable[Reply | None] | None:
        """Find the one token and verify it."""
        found = self._find(exchange)
        if not found:
            return self._refuse("Unauthorized", self._challenge)
        if len(found) > 1:
            return self._refuse("Multiple tokens provided")
        text = found.pop()
        known = self._known.get(digest(text))
        if known is not None and known.holds(self.kit.clock.time()):
            _let_in(exchange, known)
            return None
        try:
            token = Token(text)
        except BadTokenError as error:
            return self._refuse(f"Bad token; {error}")
        name = token.claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is not None and issuer.source is not None and not issuer.candidates(token):
            return self._ask(exchange, issuer, issuer.source, token, text)
        return self._conclude(exchange, issuer, token, text)

    async def _ask(
        self, exchange: Exchange, issuer: Issuer, source: Source, token: Token, text: bytes
    ) -> Reply | None:
        """Ask for the issuer's keys once more before a token is refused for want of one."""
        await source.newer(issuer.config.jwks_timeout)
        return self._conclude(exchange, issuer, token, text)

    def _conclude(self, exchange: Exchange, issuer: Issuer | None, token: Token, text: bytes) -> Reply | None:
        if issuer is not None and issuer.keys is None:
            message = "The keys of the token's issuer are not known yet"
            return Reply(503, message, body=_body({"message": message}), headers=Headers.of([_JSON]))
        try:
            verified = self._by_issuer(issuer, token) if issuer is not None else self._by_credential(token)
        except _RefusedError as refused:
            return self._refuse(refused.message, claims=refused.claims)
        if len(text) <= LONGEST_REMEMBERED:
            self._remember(digest(text), verified)
        _let_in(exchange, verified)
        return None

    def _remember(self, key: bytes, verified: Verified) -> None:
        known = self._known
        known.pop(key, None)
        if len(known) >= REMEMBERED:
            del known[next(iter(known))]
        known[key] = verified

    def _refuse(
        self, message: str, challenge: bytes | None = None, claims: dict[str, str] | None = None
    ) -> Reply:
        """Refuse; what is wrong by claim takes the whole body, as in Kong."""
        fields = [_JSON, (b"WWW-Authenticate", challenge or self._invalid)]
        return Reply(401, message, body=_body(claims or {"message": message}), headers=Headers.of(fields))

    # --- where it is -----------------------------------------------------------------------------------------

    def _find(self, exchange: Exchange) -> set[bytes]:
        """Return the different tokens that the request holds, in any of the places."""
        headers = exchange.headers
        found = {
            token.strip()
            for name in self._headers
            for value in headers.get_all(name)
            for scheme, _, token in (value.partition(b" "),)
            if scheme.lower() == b"bearer"
        }
        query = exchange.request.query
        if query and self._arguments:
            for part in query[1:].split("&"):
                argument, _, text = part.partition("=")
                if unquote_plus(argument) in self._arguments:
                    found.add(unquote_plus(text).encode())
        if self._cookies:
            pairs = b";".join(headers.get_all(b"cookie")).split(b";")
            for cookie, _, token in (pair.strip().partition(b"=") for pair in pairs):
                if cookie in self._cookies:
                    found.add(token)
        found.discard(b"")
        return found

    # --- whose it is -----------------------------------------------------------------------------------------

    def _by_credential(self, token: Token) -> Verified:
        """Verify a token under the key of a consumer, as Kong does; raises _RefusedError."""
        name = self.config.key_claim_name
        value = token.claims.get(name)
        if value is None or value is False:
            value = token.header.get(name)
        if value is None or value is False:
            raise _RefusedError(f"No mandatory '{name}' in claims")
        if value == "":
            raise _RefusedError(f"Invalid '{name}' in claims")
        consumers = self.kit.consumers
        credential = consumers.jwt(value) if isinstance(value, str) else None
        consumer = consumers.by_id.get(credential.consumer) if credential is not None else None
        if credential is None or consumer is None:
            raise _RefusedError(f"No credentials found for given '{name}'")
        self._check_signature(token, credential)
        claims = token.claims
        self._check_times(claims, self.config.claims_to_verify)
        limit = self.config.maximum_expiration
        if limit and claims["exp"] - self.kit.clock.time() > limit:
            raise _RefusedError.of({"exp": "exceeds maximum allowed expiration"})
        return Verified(self._until(claims), claims, consumer, credential, credential.key)

    def _check_signature(self, token: Token, credential: JWTSecret) -> None:
        if token.algorithm != credential.algorithm:
            raise _RefusedError("Invalid algorithm")
        if credential.id not in self._keys:
            self._keys[credential.id] = _key(credential, is_base64=self.config.secret_is_base64)
        key = self._keys[credential.id]
        if key is None:
            raise _RefusedError("Invalid key/secret")
        if not key.verifies(token.algorithm, token.signed, token.signature):
            raise _RefusedError("Invalid signature")

    def _by_issuer(self, issuer: Issuer, token: Token) -> Verified:
        """Verify a token under its issuer's published keys; raises _RefusedError."""
        wrong = issuer.refuses_signature(token)
        if wrong:
            raise _RefusedError(wrong)
        claims = token.claims
        self._check_times(claims, ("exp", "nbf") if "nbf" in claims else ("exp",))
        if not issuer.is_audience(claims):
            raise _RefusedError.of({"aud": "not meant for this audience"})
        consumer = issuer.consumer(claims, self.kit.consumers)
        if consumer is None and issuer.config.consumer_required:
            raise _RefusedError("No consumer found for the token")
        identifier, credential = issuer.identity(token)
        groups = issuer.groups(claims)
        until = self._until(claims)
        return Verified(until, claims, consumer, credential, identifier, groups, issuer, issuer.version)

    def _check_times(self, claims: dict[str, Any], names: tuple[str, ...]) -> None:
        now, leeway = self.kit.clock.time(), self.config.leeway
        wrong: dict[str, str] = {}
        for name in names:
            value = claims.get(name)
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                wrong[name] = "must be a number"
            elif name == "exp" and value + leeway <= now:
                wrong[name] = "token expired"
            elif name == "nbf" and value - leeway > now:
                wrong[name] = "token not valid yet"
        if wrong:
            raise _RefusedError.of(wrong)

    def _until(self, claims: dict[str, Any]) -> float:
        until = self.kit.clock.time() + REMEMBERED_FOR
        expires = claims.get("exp")
        return min(until, expires) if isinstance(expires, (int, float)) else until


class _RefusedError(ProxydError):
    """A token does not let in: why, or what is wrong by claim."""

    def __init__(self, message: str, claims: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.claims = claims

    @classmethod
    def of(cls, claims: dict[str, str]) -> _RefusedError:
        return cls("; ".join(f"{name}: {reason}" for name, reason in claims.items()), claims)


def digest(token: bytes) -> bytes:
    """Return what a token is remembered by: whoever reads the memory could not send one."""
    return hashlib.sha256(token).digest()


_JSON = (b"Content-Type", b"application/json; charset=utf-8")


def _body(document: dict[str, str]) -> bytes:
    return orjson.dumps(document)


def _let_in(exchange: Exchange, known: Verified) -> None:
    identify(exchange, known.consumer, known.credential, known.identifier)
    exchange.claims = known.claims
    if known.groups is not None:
        exchange.groups = known.groups


def _key(credential: JWTSecret, *, is_base64: bool) -> Key | None:
    try:
        if not credential.algorithm.startswith("HS"):
            return from_pem(credential.rsa_public_key or "", credential.algorithm)
        secret = (credential.secret or "").encode()
        if is_base64:  # of either alphabet, padded or not, as Kong reads it
            plain = secret.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
            secret = base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
        return from_secret(secret, credential.algorithm)
    except (BadKeyError, binascii.Error):
        return None
