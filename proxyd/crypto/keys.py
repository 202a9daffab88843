"""Keys that signatures are verified with. A key says which algorithms it is for; a token has no say in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import InvalidKeyError, PyJWTError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jwt.algorithms import Algorithm

_HMAC: Final = ("HS256", "HS384", "HS512")
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final = {SECP256R1: "ES256", SECP384R1: "ES384", SECP521R1: "ES512"}
SIGNED: Final = (*_RSA, *_CURVES.values(), "EdDSA")  # by a private key; its public one may be published

ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in {*_HMAC, *SIGNED}
}

WEAK_RSA, LARGEST_RSA = 2048, 8192  # bits: RFC 7518 section 3.3; beyond, a token would cost a millisecond


class BadKeyError(ValueError):
    """A key cannot be used; the text never holds any of it."""


class Key:
    """A key for the ``fitting`` algorithms, of which ``preferred`` is meant where nobody has said."""

    __slots__ = ("_key", "fitting", "kid", "preferred")

    def __init__(self, key: Any, fitting: Iterable[str], kid: str | None = None) -> None:
        self._key = key
        self.fitting = tuple(fitting)
        self.preferred = self.fitting[0]
        self.kid = kid

    def __repr__(self) -> str:
        return f"<Key {self.kid or '-'} {self.preferred}>"

    @property
    def bits(self) -> int:
        """The size of an RSA key, and 0 of all others."""
        return self._key.key_size if isinstance(self._key, RSAPublicKey) else 0

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, made with an algorithm that the key is for."""
        return algorithm in self.fitting and ALGORITHMS[algorithm].verify(signed, self._key, signature)


def from_secret(secret: bytes, algorithm: str) -> Key:
    """Return the key of one of the HS algorithms; raises BadKeyError."""
    try:
        return Key(ALGORITHMS[algorithm].prepare_key(secret), (algorithm,))
    except InvalidKeyError:
        raise BadKeyError("the secret is empty, or a public key") from None


def from_pem(pem: str, algorithm: str) -> Key:
    """Return a public key in PEM, for one algorithm; raises BadKeyError."""
    if "PRIVATE KEY" in pem:
        raise BadKeyError("is a private key, and only the public one belongs here")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyError("is not a public key in PEM") from None
    if algorithm not in _fitting(key):
        raise BadKeyError(f"is not a key for {algorithm}")
    return Key(key, (algorithm,))


def _fitting(key: object) -> tuple[str, ...]:
    """Return what a public key can verify, the usual algorithm first."""
    if isinstance(key, RSAPublicKey):
        return _RSA if key.key_size <= LARGEST_RSA else ()
    if isinstance(key, EllipticCurvePublicKey):
        name = _CURVES.get(type(key.curve))
        return (name,) if name else ()
    return ("EdDSA",) if isinstance(key, (Ed25519PublicKey, Ed448PublicKey)) else ()


_READERS: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


def from_jwk(jwk: Mapping[str, Any]) -> Key:
    """Return the key of a JSON Web Key (RFC 7517); raises BadKeyError for one that is of no use here."""
    kind, kid, algorithm = jwk.get("kty"), jwk.get("kid"), jwk.get("alg")
    if kid is not None and not isinstance(kid, str):
        raise BadKeyError("kid is not a text")
    if not isinstance(kind, str) or kind not in _READERS:
        raise BadKeyError("kty is none of RSA, EC and OKP")
    if jwk.get("use", "sig") != "sig":
        raise BadKeyError("is not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, (list, tuple)) or "verify" not in operations:
        raise BadKeyError("is not for verifying")
    if "d" in jwk:
        raise BadKeyError("is a private key")
    try:
        key = ALGORITHMS[_READERS[kind]].from_jwk(dict(jwk))
    except (PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKeyError("cannot be read") from None
    fitting = _fitting(key)
    if algorithm is not None:
        fitting = (algorithm,) if algorithm in fitting else ()
    if not fitting:
        raise BadKeyError("is not for any of the algorithms")
    made = Key(key, fitting, kid)
    if 0 < made.bits < WEAK_RSA:
        raise BadKeyError(f"has {made.bits} bits, and needs {WEAK_RSA}")
    return made


MAX_KEYS = 100  # in one document; providers have two or three


class KeySet:
    """The keys of one issuer, and why others of its document are not among them."""

    __slots__ = ("_by_kid", "ignored", "keys")

    def __init__(self, document: object) -> None:
        """Read a JWK Set (RFC 7517 section 5); raises BadKeyError where there is no key of use in it."""
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, (list, tuple)):  # the lists of a configuration are tuples
            raise BadKeyError("is not a set of keys")
        if len(listed) > MAX_KEYS:
            raise BadKeyError(f"holds more than {MAX_KEYS} keys")
        keys: list[Key] = []
        self.ignored: list[str] = []
        for position, jwk in enumerate(listed):
            try:
                keys.append(from_jwk(jwk if isinstance(jwk, dict) else {}))
            except BadKeyError as error:
                self.ignored.append(f"keys[{position}] {error}")
        if not keys:
            raise BadKeyError("; ".join(["holds no key that could be used", *self.ignored[:3]]))
        self.keys = tuple(keys)
        self._by_kid: dict[str, list[Key]] = {}
        for key in keys:
            if key.kid is not None:
                self._by_kid.setdefault(key.kid, []).append(key)

    def __repr__(self) -> str:
        return f"<KeySet {list(self.keys)}>"

    def candidates(self, kid: object) -> Sequence[Key]:
        """Return the keys that a token with this ``kid`` may be signed with, all of them where it has none."""
        if kid is None:
            return self.keys
        return self._by_kid.get(kid, ()) if isinstance(kid, str) else ()
