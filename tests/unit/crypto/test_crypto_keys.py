"""Keys: what each is for, and which are of no use."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from token_case import ALGORITHMS, SECRET, jwk, pem, private, private_pem

from proxyd.crypto.keys import SIGNED, BadKeyError, KeySet, from_jwk, from_pem, from_secret


def signed(algorithm, key):
    return ALGORITHMS[algorithm].sign(b"text", key)


@pytest.mark.parametrize("algorithm", SIGNED)
def test_a_public_key_verifies_its_algorithm_alone(algorithm):
    """In PEM and as a JSON Web Key."""
    key = private(algorithm)
    signature = signed(algorithm, key)
    for made in (from_pem(pem(key), algorithm), from_jwk(jwk(algorithm, key, alg=algorithm))):
        assert made.verifies(algorithm, b"text", signature)
        assert not made.verifies(algorithm, b"other text", signature)
        assert not made.verifies(algorithm, b"text", signature[:-1])
        assert made.fitting == (algorithm,)
        assert not any(made.verifies(other, b"text", signature) for other in ALGORITHMS if other != algorithm)


def test_an_ed448_key_is_for_eddsa():
    """As in Kong."""
    key = private("Ed448")
    assert from_pem(pem(key), "EdDSA").verifies("EdDSA", b"text", signed("EdDSA", key))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_secret_verifies_its_algorithm_alone(algorithm):
    """However short it is, for Kong's sake."""
    key = from_secret(b"short", algorithm)
    signature = signed(algorithm, b"short")
    assert [name for name in ALGORITHMS if key.verifies(name, b"text", signature)] == [algorithm]


@pytest.mark.parametrize("secret", [b"", pem(private("RS256")).encode()])
def test_what_is_no_secret(secret):
    """Nothing, and a public key: whoever knows that could sign."""
    with pytest.raises(BadKeyError, match="empty, or a public key"):
        from_secret(secret, "HS256")


@pytest.mark.parametrize(
    ("text", "algorithm", "reason"),
    [
        ("", "RS256", "is not a public key in PEM"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "RS256", "is not a public key in PEM"),
        (private_pem(private("RS256")), "RS256", "is a private key, and only the public one belongs here"),
        (pem(private("ES256")), "RS256", "is not a key for RS256"),
        (pem(private("ES256")), "ES384", "is not a key for ES384"),
        (pem(private("RS256")), "ES256", "is not a key for ES256"),
        (pem(private("RS256")), "EdDSA", "is not a key for EdDSA"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "ES256", "is not a key for ES256"),
    ],
)
def test_keys_in_pem_that_are_refused(text, algorithm, reason):
    """With the reason, and nothing of the key."""
    with pytest.raises(BadKeyError) as caught:
        from_pem(text, algorithm)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kty": "oct", "k": "c2VjcmV0"}, "kty is none of RSA, EC and OKP"),
        ({"kty": ["RSA"]}, "kty is none of RSA, EC and OKP"),
        ({"kid": 7}, "kid is not a text"),
        ({"use": "enc"}, "is not for signatures"),
        ({"key_ops": ["encrypt"]}, "is not for verifying"),
        ({"key_ops": "verify"}, "is not for verifying"),
        ({"d": "AA"}, "is a private key"),
        ({"n": None}, "cannot be read"),
        ({"n": 5}, "cannot be read"),
        ({"e": "AA"}, "cannot be read"),
        ({"alg": "RS1"}, "is not for any of the algorithms"),
        ({"alg": "ES256"}, "is not for any of the algorithms"),
        ({"alg": "HS256"}, "is not for any of the algorithms"),
    ],
)
def test_json_web_keys_that_are_refused(fields, reason):
    """What is not for signatures, not public, or not what it says."""
    with pytest.raises(BadKeyError) as caught:
        from_jwk(jwk("RS256", private("RS256"), **fields))
    assert str(caught.value) == reason


def test_a_weak_published_key_is_refused():
    """A consumer's in PEM is not, so that Kong's files load."""
    weak = rsa.generate_private_key(65537, 1024)
    with pytest.raises(BadKeyError, match="has 1024 bits, and needs 2048"):
        from_jwk(jwk("RS256", weak))
    assert from_pem(pem(weak), "RS256").bits == 1024


def test_an_algorithm_is_meant_where_none_is_named():
    """By the kind of the key; all that fit may be allowed by the file."""
    rsa_key = from_jwk(jwk("RS256", private("RS256")))
    assert (rsa_key.preferred, "PS512" in rsa_key.fitting) == ("RS256", True)
    assert from_jwk(jwk("ES384", private("ES384"))).fitting == ("ES384",)
    assert repr(from_jwk(jwk("EdDSA", private("EdDSA"), kid="k"))) == "<Key k EdDSA>"


# --- sets ----------------------------------------------------------------------------------------------------


def test_a_set_finds_keys_by_their_kid():
    """All of them for a token without one; what cannot be used is left out and told."""
    one, two = (jwk("RS256", private("RS256", number), kid=f"k{number}") for number in (1, 2))
    keys = KeySet({"keys": [one, {"kty": "oct"}, two, "text"]})
    assert [key.kid for key in keys.candidates("k2")] == ["k2"]
    assert [key.kid for key in keys.candidates(None)] == ["k1", "k2"]
    assert [list(keys.candidates(kid)) for kid in ("k3", 7, ["k1"])] == [[], [], []]
    assert len(keys.ignored) == 2
    assert len(KeySet({"keys": (one, {**two, "key_ops": ("verify",)})}).keys) == 2  # as a file is read
    assert repr(keys) == "<KeySet [<Key k1 RS256>, <Key k2 RS256>]>"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "is not a set of keys"),
        ({"keys": {}}, "is not a set of keys"),
        ({"keys": []}, "holds no key that could be used"),
        ({"keys": [{}] * 101}, "holds more than 100 keys"),
        (
            {"keys": [{"kty": "oct", "k": SECRET}]},
            "holds no key that could be used; keys[0] kty is none of RSA, EC and OKP",
        ),
    ],
)
def test_documents_that_are_refused(document, reason):
    """What holds no key that could be used, or too many."""
    with pytest.raises(BadKeyError) as caught:
        KeySet(document)
    assert str(caught.value) == reason
