"""Keys and tokens for tests: signed by the library that verifies, or put together part by part."""

from __future__ import annotations

import base64
import json
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import get_default_algorithms

ALGORITHMS = get_default_algorithms()
SECRET = "for-tests-only, and 32 bytes long"
_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@cache
def private(kind, number=0):
    """Return a key by algorithm, the same one each time; ``number`` tells several apart."""
    del number
    if kind[:2] in {"RS", "PS"}:
        return rsa.generate_private_key(65537, 2048)
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind]())
    return ed448.Ed448PrivateKey.generate() if kind == "Ed448" else ed25519.Ed25519PrivateKey.generate()


def pem(key):
    """Return the public key in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def jwk(algorithm, key, **fields):
    """Return the public JSON Web Key; a field that is None is left out."""
    made = ALGORITHMS[algorithm].to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return {name: value for name, value in {**made, **fields}.items() if value is not None}


def part(value):
    """Write one part: of a document, or of bytes as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims, key=SECRET, algorithm="HS256", header=None):
    """Sign a token; ``header`` is taken as it is, and says what it likes."""
    signed = f"{part(header or {'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}"
    secret = key.encode() if isinstance(key, str) else key
    return f"{signed}.{part(ALGORITHMS[algorithm].sign(signed.encode(), secret))}"
