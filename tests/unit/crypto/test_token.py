"""A token taken apart: what is read the same way by everybody, and nothing else."""

from __future__ import annotations

import pytest
from token_case import part, token

from proxyd.crypto.token import MAX_SIZE, BadTokenError, Token

HEADER = {"alg": "HS256"}
SIGNATURE = part(b"s" * 32)


def parts(header=HEADER, claims=None, signature=SIGNATURE):
    return f"{part(header)}.{part({} if claims is None else claims)}.{signature}".encode()


def test_its_parts():
    """Header, claims, signature, and what that is over; its repr keeps the claims to itself."""
    text = token(
        {"iss": "a", "exp": 1.5}, header={"alg": "HS256", "kid": "k", "jwk": {}, "jku": "http://evil"}
    )
    one = Token(text.encode())
    assert (one.algorithm, one.header["kid"], one.claims) == ("HS256", "k", {"iss": "a", "exp": 1.5})
    assert one.signed.decode() == text.rpartition(".")[0]
    assert len(one.signature) == 32
    assert repr(one) == "<Token HS256>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "invalid JSON"),
        (b"a.b", "invalid JSON"),
        (parts() + b".more", "invalid JSON"),
        (b"." + parts(), "invalid JSON"),
        (parts() + b"=", "invalid JSON"),
        (parts().replace(b".", b"..", 1), "invalid JSON"),
        (b" " + parts(), "invalid JSON"),
        (parts() + b"\n", "invalid JSON"),
        (parts(b"{"), "invalid JSON"),
        (parts(b'{"alg":"HS256","alg":"none"}'), "invalid JSON"),
        (parts(b'\xef\xbb\xbf{"alg":"HS256"}'), "invalid JSON"),
        (parts(b'{"alg":"HS256","a":"\xff"}'), "invalid JSON"),
        (parts(["alg"]), "invalid JSON"),
        (parts({}), "invalid alg"),
        (parts({"alg": "none"}), "invalid alg"),
        (parts({"alg": "None"}), "invalid alg"),
        (parts({"alg": ["HS256"]}), "invalid alg"),
        (parts({"alg": "hs256"}), "invalid alg"),
        (parts({"alg": "ES256K"}), "invalid alg"),
        (parts({**HEADER, "crit": ["exp"], "exp": 1}), "unknown crit"),
        (parts({**HEADER, "crit": []}), "unknown crit"),
        (parts({**HEADER, "b64": False, "crit": ["b64"]}), "unknown crit"),
        (parts(claims=[1]), "invalid claims"),
        (parts(claims=b"null"), "invalid claims"),
        (parts(claims=b'{"exp":1,"exp":2}'), "invalid JSON"),
        (parts(claims=b'{"a":{"b":1,"b":2}}'), "invalid JSON"),
        (parts(claims=b'{"exp":NaN}'), "invalid JSON"),
        (parts(claims=b'{"exp":1e999}'), "invalid JSON"),
        (parts(claims=b'{"sub":"\\ud800"}'), "invalid JSON"),
        (parts(claims=b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"), "invalid JSON"),
        (parts(signature=""), "invalid signature"),
        (parts(signature="a"), "invalid signature"),
        (parts(claims={"a": "x" * MAX_SIZE}), "too large"),
    ],
)
def test_what_is_refused(text, reason):
    """Anything that two readers could take differently, and what is too much."""
    with pytest.raises(BadTokenError) as caught:
        Token(text)
    assert str(caught.value) == reason


def test_white_space_in_json_is_json():
    """Around the header too."""
    assert Token(parts(b' {"alg":"HS256"} ')).algorithm == "HS256"
