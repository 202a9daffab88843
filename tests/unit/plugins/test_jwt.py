"""jwt: where tokens are looked for, whose they are, and what is made of them."""

from __future__ import annotations

import json

import pytest
from conversation import FakeClock
from plugin_case import exchange, kit, make, sent
from pydantic import ValidationError
from token_case import SECRET, jwk, part, pem, private, private_pem, token

from proxyd.plugins import jwt as module
from proxyd.plugins.jwt import Jwt

NOW = int(FakeClock().time())
ISSUER = "https://id.example.com"
ANN = {
    "username": "ann",
    "custom_id": "7",
    "jwt_secrets": [
        {"key": "ann", "secret": SECRET},
        {"key": "ann-rsa", "algorithm": "RS256", "rsa_public_key": pem(private("RS256"))},
        {"key": "ann-base64", "secret": part(SECRET.encode()), "algorithm": "HS512"},
        {"key": "ann-nothing"},
        {"key": "ann-not-base64", "secret": "?"},
    ],
}
NOBODY = {"username": "nobody"}
BASE = {
    "issuer": ISSUER,
    "audience": ["shop"],
    "jwks": {
        "keys": [
            jwk("RS256", private("RS256", 1), kid="r"),
            jwk("ES256", private("ES256"), kid="e"),
            jwk("PS256", private("RS256", 2), kid="p", alg="PS256"),
        ]
    },
}


def plugin(lent=None, **config):
    return make(Jwt, lent or kit(ANN, NOBODY), **config)


def bearer(text):
    return (b"authorization", b"Bearer " + text.encode())


def ask(text, lent=None, *, method="GET", **config):
    """Return the exchange if a token is let in, and otherwise status, body and challenge."""
    one = exchange(bearer(text), method=method)
    return outcome(plugin(lent, **config).access(one), one)


def outcome(reply, one):
    if reply is None:
        return one
    challenge = (reply.headers.get(b"www-authenticate") or b"").decode()
    return reply.status, json.loads(reply.body), challenge


def refused(message, challenge='Bearer error="invalid_token"'):
    return 401, message if isinstance(message, dict) else {"message": message}, challenge


def said(found):
    """Return the message of a refusal, or what is wrong by claim; None of a request that was let in."""
    if not isinstance(found, tuple):
        assert found.credential is not None
        return None
    status, body, challenge = found
    assert (status, challenge) == (401, 'Bearer error="invalid_token"')
    return body.get("message", body)


def theirs(claims=None, kid="r", algorithm="RS256", key=None, **header):
    """Make a token of the issuer."""
    claims = {"iss": ISSUER, "aud": "shop", "exp": NOW + 60, "sub": "u1", **(claims or {})}
    known = {"r": private("RS256", 1), "e": private("ES256"), "p": private("RS256", 2)}
    header = {"alg": algorithm, "kid": kid, **header}
    return token(claims, key or known[kid], algorithm, {k: v for k, v in header.items() if v is not None})


def by_issuer(text, lent=None, **fields):
    return ask(text, lent, issuers=[{**BASE, **fields}])


# --- settings ------------------------------------------------------------------------------------------------


def test_defaults():
    """Kong's, and nothing of ours unless asked for."""
    assert Jwt.Config().model_dump() == {
        "anonymous": None,
        "run_on_preflight": True,
        "key_claim_name": "iss",
        "claims_to_verify": (),
        "header_names": ("authorization",),
        "uri_param_names": ("jwt",),
        "cookie_names": (),
        "secret_is_base64": False,
        "maximum_expiration": 0,
        "realm": None,
        "leeway": 0,
        "issuers": (),
    }


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"claims_to_verify": ["iat"]}, "Input should be 'exp' or 'nbf'"),
        ({"maximum_expiration": 60}, "maximum_expiration needs exp"),
        ({"maximum_expiration": 31_536_001, "claims_to_verify": ["exp"]}, "less than or equal"),
        ({"issuers": [BASE, BASE]}, "stands there twice"),
        ({"issuers": [{"issuer": "a"}]}, "exactly one of jwks_uri and jwks"),
        ({"issuers": [{**BASE, "jwks_uri": "https://a"}]}, "exactly one of jwks_uri and jwks"),
        ({"issuers": [{**BASE, "audience": []}]}, "at least 1 item"),
        ({"issuers": [{**BASE, "algorithms": ["HS256"]}]}, "Input should be"),
        ({"issuers": [{**BASE, "consumer_required": True}]}, "needs consumer_claim"),
        ({"issuers": [{**BASE, "jwks": {"keys": []}}]}, "holds no key"),
        ({"issuers": [{**BASE, "jwks": {"keys": [*BASE["jwks"]["keys"], {}]}}]}, r"keys\[3\] kty"),
    ],
)
def test_what_is_refused(config, reason):
    """What would never let anyone in, or let in whom it should not."""
    with pytest.raises(ValidationError, match=reason):
        Jwt.Config(**config)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://id.example.com/jwks", "must be https"),
        ("http://localhost.example.com/jwks", "must be https"),
        ("ftp://id.example.com", "must begin with https"),
        ("https:///jwks", "must begin with https"),
        ("https://u:p@id.example.com", "neither a user name"),
        ("https://id.example.com/#a", "nor a fragment"),
        ("https://id.example.com:port/", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://id.example.com/jwks?tenant=a", None),
        ("http://127.0.0.2:8080/jwks", None),
        ("http://[::1]/jwks", None),
        ("http://localhost/jwks", None),
    ],
)
def test_where_keys_may_be_published(uri, reason):
    """Over TLS, or on this machine."""
    if reason is None:
        Jwt.Config(issuers=[{"issuer": "a", "jwks_uri": uri}])
        return
    with pytest.raises(ValidationError, match=reason):
        Jwt.Config(issuers=[{"issuer": "a", "jwks_uri": uri}])


def test_plain_http_has_to_be_asked_for():
    """By a word that says so."""
    issuer = {"issuer": "a", "jwks_uri": "http://keycloak:8080/certs", "jwks_allow_http": True}
    assert Jwt.Config(issuers=[issuer]).issuers[0].jwks_uri == issuer["jwks_uri"]


# --- where a token is ----------------------------------------------------------------------------------------

GOOD, OTHER = token({"iss": "ann"}), token({"iss": "ann", "a": 1})


@pytest.mark.parametrize(
    ("fields", "target", "config", "expected"),
    [
        ([bearer(GOOD)], "/", {}, "ann"),
        ([(b"Authorization", b"bearer   " + GOOD.encode())], "/", {}, "ann"),
        ([], f"/?a=1&jwt={GOOD}", {}, "ann"),
        ([], f"/?j%77t={GOOD}", {}, "ann"),
        ([(b"cookie", f"a=1; session={GOOD}".encode())], "/", {"cookie_names": ["session"]}, "ann"),
        ([(b"x-token", b"Bearer " + GOOD.encode())], "/", {"header_names": ["X-Token"]}, "ann"),
        ([bearer(GOOD)], f"/?jwt={GOOD}", {}, "ann"),
        ([], "/", {}, "Unauthorized"),
        ([(b"authorization", GOOD.encode())], "/", {}, "Unauthorized"),
        ([(b"authorization", b"Basic " + GOOD.encode())], "/", {}, "Unauthorized"),
        ([(b"authorization", b"Bearer ")], "/?jwt=", {}, "Unauthorized"),
        ([bearer(GOOD)], "/", {"header_names": []}, "Unauthorized"),
        ([(b"cookie", f"session={GOOD}".encode())], "/", {}, "Unauthorized"),
        ([bearer(GOOD)], f"/?jwt={OTHER}", {}, "Multiple tokens provided"),
        ([], f"/?jwt={GOOD}&jwt={OTHER}", {}, "Multiple tokens provided"),
        ([bearer(GOOD), bearer(OTHER)], "/", {}, "Multiple tokens provided"),
    ],
)
def test_where_it_is_looked_for(fields, target, config, expected):
    """In every place that is named; two different ones are one too many."""
    one = exchange(*fields, target=target)
    found = outcome(plugin(**config).access(one), one)
    if expected == "ann":
        assert found.consumer.username == "ann"
    elif expected == "Unauthorized":
        assert found == refused("Unauthorized", "Bearer")
    else:
        assert found == refused(expected)


def test_the_challenge_names_the_realm():
    """With what is wrong behind it."""
    one = exchange()
    told = outcome(plugin(realm='the "shop"').access(one), one)
    assert told == refused("Unauthorized", r'Bearer realm="the \"shop\""')
    assert ask("x", realm="shop")[2] == 'Bearer realm="shop", error="invalid_token"'


# --- under a consumer's key ----------------------------------------------------------------------------------


def test_the_upstream_is_told_who_it_is():
    """And later plugins are told what the token says; the secret is in nobody's repr."""
    one = ask(token({"iss": "ann", "roles": ["a"]}))
    told = sent(one)
    assert (told["x-consumer-username"], told["x-consumer-custom-id"]) == ("ann", "7")
    assert told["x-credential-identifier"] == "ann"
    assert (one.claims["roles"], one.groups) == (["a"], None)
    assert SECRET not in repr(one.credential)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (token({"iss": "ann"}, private("RS256"), "RS256"), "Invalid algorithm"),
        (token({"iss": "ann-rsa"}, private("RS256"), "RS256"), None),
        (token({"iss": "ann-rsa"}, private("RS256", 1), "RS256"), "Invalid signature"),
        (token({"iss": "ann-rsa"}, pem(private("RS256")), "HS256"), "Invalid algorithm"),
        (token({"iss": "ann-rsa"}, private("RS256"), "PS256"), "Invalid algorithm"),
        (token({"iss": "ann-rsa"}, private("ES256"), "ES256"), "Invalid algorithm"),
        (token({"iss": "ann"}, "another secret"), "Invalid signature"),
        (token({"iss": "ann"}, SECRET, "HS512"), "Invalid algorithm"),
        (token({"iss": "ann-nothing"}), "Invalid key/secret"),
        (token({"iss": "eve"}), "No credentials found for given 'iss'"),
        (token({"iss": 7}), "No credentials found for given 'iss'"),
        (token({"iss": ["ann"]}), "No credentials found for given 'iss'"),
        (token({}), "No mandatory 'iss' in claims"),
        (token({"iss": None}), "No mandatory 'iss' in claims"),
        (token({"iss": ""}), "Invalid 'iss' in claims"),
        (f"{part({'alg': 'none'})}.{part({'iss': 'ann'})}.", "Bad token; invalid alg"),
        (GOOD.rpartition(".")[0] + ".", "Bad token; invalid signature"),
        (
            f"{part({'alg': 'HS256'})}.{part({'iss': 'ann-rsa'})}.{GOOD.rpartition('.')[2]}",
            "Invalid algorithm",
        ),
        (token({"iss": "ann"}, header={"alg": "HS256", "crit": ["a"]}), "Bad token; unknown crit"),
        ("a.b", "Bad token; invalid JSON"),
    ],
)
def test_tokens_under_a_consumers_key(text, expected):
    """The key says what the algorithm is; messages are Kong's."""
    found = ask(text)
    assert said(found) == expected


def test_keys_that_a_token_carries_are_not_looked_at():
    """Nor are the addresses of such."""
    mine = private("RS256", 9)
    header = {
        "alg": "RS256",
        "jwk": jwk("RS256", mine),
        "jku": "http://evil.example",
        "x5u": "http://evil.example",
    }
    assert ask(token({"iss": "ann-rsa"}, mine, "RS256", header)) == refused("Invalid signature")
    known = jwk("RS256", private("RS256"))
    right = token({"iss": "ann-rsa"}, private("RS256"), "RS256", {"alg": "RS256", "jwk": known})
    assert ask(right).consumer.username == "ann"


def test_the_claim_may_stand_in_the_header():
    """As ``kid`` does; in the claims it counts first."""
    header = {"alg": "HS256", "kid": "ann"}
    assert ask(token({}, header=header), key_claim_name="kid").consumer.username == "ann"
    assert ask(token({"kid": "eve"}, header=header), key_claim_name="kid")[0] == 401


def test_secrets_in_base64():
    """Are read so only where that is said; one that is not base64 lets nobody in. Public keys never are."""
    text = token({"iss": "ann-base64"}, SECRET, "HS512")
    assert ask(text, secret_is_base64=True).consumer.username == "ann"
    assert ask(text) == refused("Invalid signature")
    assert ask(token({"iss": "ann-not-base64"}), secret_is_base64=True) == refused("Invalid key/secret")
    rsa = token({"iss": "ann-rsa"}, private("RS256"), "RS256")
    assert ask(rsa, secret_is_base64=True).consumer.username == "ann"


@pytest.mark.parametrize(
    ("claims", "config", "expected"),
    [
        ({"exp": NOW - 1}, {}, None),
        ({"exp": NOW + 1}, {"claims_to_verify": ["exp"]}, None),
        ({"exp": NOW + 0.5}, {"claims_to_verify": ["exp"]}, None),
        ({"exp": NOW}, {"claims_to_verify": ["exp"]}, {"exp": "token expired"}),
        ({"exp": NOW - 4}, {"claims_to_verify": ["exp"], "leeway": 5}, None),
        ({"exp": NOW - 5}, {"claims_to_verify": ["exp"], "leeway": 5}, {"exp": "token expired"}),
        ({}, {"claims_to_verify": ["exp"]}, {"exp": "must be a number"}),
        ({"exp": str(NOW + 60)}, {"claims_to_verify": ["exp"]}, {"exp": "must be a number"}),
        ({"exp": True}, {"claims_to_verify": ["exp"]}, {"exp": "must be a number"}),
        ({"nbf": NOW}, {"claims_to_verify": ["nbf"]}, None),
        ({"nbf": NOW + 1}, {"claims_to_verify": ["nbf"]}, {"nbf": "token not valid yet"}),
        ({"nbf": NOW + 5}, {"claims_to_verify": ["nbf"], "leeway": 5}, None),
        (
            {"exp": NOW - 1, "nbf": NOW + 1},
            {"claims_to_verify": ["exp", "nbf"]},
            {"exp": "token expired", "nbf": "token not valid yet"},
        ),
        ({"exp": NOW + 60}, {"claims_to_verify": ["exp"], "maximum_expiration": 60}, None),
        (
            {"exp": NOW + 61},
            {"claims_to_verify": ["exp"], "maximum_expiration": 60},
            {"exp": "exceeds maximum allowed expiration"},
        ),
    ],
)
def test_times(claims, config, expected):
    """Looked at only where asked for, as in Kong; what is wrong is the whole body."""
    found = ask(token({"iss": "ann", **claims}), **config)
    assert said(found) == expected


# --- under an issuer's keys ----------------------------------------------------------------------------------


def test_a_token_of_an_issuer_needs_no_consumer():
    """Its subject is who calls, and what it is limited by; the same for each of the subject's tokens."""
    one, two = by_issuer(theirs()), by_issuer(theirs({"jti": "2"}))
    told = sent(one)
    assert (one.consumer, told["x-credential-identifier"]) == (None, "u1")
    assert "x-consumer-id" not in told
    assert one.credential.id == two.credential.id != by_issuer(theirs({"sub": "u2"})).credential.id


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        (theirs(), {}, None),
        (theirs(kid="e", algorithm="ES256"), {}, None),
        (theirs(kid="p", algorithm="PS256"), {}, None),
        (theirs(algorithm="PS256"), {}, "Invalid algorithm"),
        (theirs(algorithm="PS256"), {"algorithms": ["PS256"]}, None),
        (theirs(), {"algorithms": ["PS256"]}, "Invalid algorithm"),
        (theirs(kid="p", algorithm="RS256"), {"algorithms": ["RS256"]}, "Invalid algorithm"),
        (theirs(key=pem(private("RS256", 1)), algorithm="HS256"), {}, "Invalid algorithm"),
        (theirs(key=private("RS256", 3)), {}, "Invalid signature"),
        (theirs(kid="unknown", key=private("RS256", 1)), {}, "No key found for the token"),
        (theirs(kid="e", key=private("RS256", 1)), {}, "Invalid algorithm"),
        (theirs(kid=None, key=private("ES256"), algorithm="ES256"), {}, None),
        (theirs(kid=None, key=private("RS256", 3)), {}, "Invalid signature"),
        (theirs({"exp": NOW}), {}, {"exp": "token expired"}),
        (theirs({"exp": None}), {}, {"exp": "must be a number"}),
        (theirs({"nbf": NOW + 1}), {}, {"nbf": "token not valid yet"}),
        (theirs({"nbf": "soon"}), {}, {"nbf": "must be a number"}),
        (theirs({"aud": ["other", "shop"]}), {}, None),
        (theirs({"aud": "other"}), {}, {"aud": "not meant for this audience"}),
        (theirs({"aud": ["other", 7]}), {}, {"aud": "not meant for this audience"}),
        (theirs({"aud": {"shop": 1}}), {}, {"aud": "not meant for this audience"}),
        (theirs({"aud": None}), {}, {"aud": "not meant for this audience"}),
        (theirs({"aud": "other"}), {"audience": None}, None),
        (theirs({"iss": f"{ISSUER}/"}), {}, "No credentials found for given 'iss'"),
        (theirs({"iss": [ISSUER]}), {}, "No credentials found for given 'iss'"),
    ],
)
def test_tokens_of_an_issuer(text, fields, expected):
    """The key that the token names, the algorithm that the key is for, and always an end."""
    found = by_issuer(text, **fields)
    assert said(found) == expected


@pytest.mark.parametrize(
    ("claims", "fields", "expected"),
    [
        ({"sub": "7"}, {"consumer_claim": "sub"}, "ann"),
        ({"sub": 7}, {"consumer_claim": "sub"}, "ann"),
        ({"ext": {"login": "ann"}}, {"consumer_claim": "ext.login", "consumer_by": ["username"]}, "ann"),
        ({"sub": "ann"}, {"consumer_claim": "sub", "consumer_by": ["custom_id", "username"]}, "ann"),
        ({"sub": "ann"}, {"consumer_claim": "sub"}, None),
        ({"sub": True}, {"consumer_claim": "sub", "consumer_by": ["username"]}, None),
        ({"sub": ["ann"]}, {"consumer_claim": "sub", "consumer_by": ["username"]}, None),
        ({"sub": "ann"}, {"consumer_claim": "sub", "consumer_by": ["id"]}, None),
        ({"sub": "ann"}, {}, None),
    ],
)
def test_the_consumer_of_a_token(claims, fields, expected):
    """Is found by the claim that is named, and by what is said of it; it is needed only where asked for."""
    found = by_issuer(theirs(claims), **fields)
    assert (found.consumer.username if found.consumer else None) == expected
    if expected is None and "consumer_claim" in fields:
        strict = by_issuer(theirs(claims), **fields, consumer_required=True)
        assert strict == refused("No consumer found for the token")


def test_groups_and_identity_of_a_token():
    """Come from the claims that are named; without an identity, a token is counted for itself."""
    one = by_issuer(
        theirs({"realm": {"roles": ["a", 1, "b"]}, "email": "a@b.c"}),
        groups_claim="realm.roles",
        identity_claim="email",
    )
    assert (one.groups, sent(one)["x-credential-identifier"]) == (("a", "b"), "a@b.c")
    first, second = (by_issuer(theirs({"jti": each}), identity_claim="none") for each in "12")
    assert "x-credential-identifier" not in sent(first)
    assert first.credential.id != second.credential.id


def test_an_issuer_beside_consumers_keys():
    """Each token goes to whoever its iss names."""
    assert ask(GOOD, issuers=[BASE]).consumer.username == "ann"


async def test_keys_that_have_never_been_fetched():
    """Are no reason to let in, nor to send a good token away for ever: not even the anonymous consumer is let in."""
    issuer = {"issuer": ISSUER, "jwks_uri": "http://127.0.0.1:9/jwks"}
    lent = kit(ANN, NOBODY)
    one = make(Jwt, lent, issuers=[issuer], anonymous="nobody")
    await one.start()
    asked = exchange(bearer(theirs()))
    found = outcome(await one.access(asked), asked)
    assert found == (503, {"message": "The keys of the token's issuer are not known yet"}, "")
    await one.stop()
    await one.stop()
    assert lent.key_sets.states() == []


# --- what is remembered --------------------------------------------------------------------------------------


@pytest.fixture
def verified(monkeypatch):
    """Count how often a signature is looked at."""
    count = []
    real = module.Key.verifies
    monkeypatch.setattr(module.Key, "verifies", lambda *given: count.append(1) or real(*given))
    return count


def test_a_token_is_verified_once_until_it_expires(verified):
    """And never counts for longer than its exp says."""
    clock = FakeClock()
    one = plugin(kit(ANN, clock=clock), claims_to_verify=["exp"])
    text = token({"iss": "ann", "exp": NOW + 100})
    for _ in range(3):
        asked = exchange(bearer(text))
        assert one.access(asked) is None
        assert (asked.consumer.username, asked.claims["exp"]) == ("ann", NOW + 100)
    assert len(verified) == 1
    clock.value += 100
    asked = exchange(bearer(text))
    assert outcome(one.access(asked), asked) == refused({"exp": "token expired"})


def test_a_token_without_an_end_is_verified_again_after_a_while(verified):
    """So that no memory is for ever."""
    clock = FakeClock()
    one = plugin(kit(ANN, clock=clock))
    assert one.access(exchange(bearer(GOOD))) is None
    clock.value += module.REMEMBERED_FOR
    assert one.access(exchange(bearer(GOOD))) is None
    assert len(verified) == 2


def test_memory_is_bounded(monkeypatch):
    """The oldest goes first; what is refused is not remembered at all."""
    monkeypatch.setattr(module, "REMEMBERED", 3)
    one = plugin()
    for number in range(5):
        assert one.access(exchange(bearer(token({"iss": "ann", "n": number})))) is None
        assert one.access(exchange(bearer(token({"iss": "eve", "n": number})))).status == 401
    assert len(one._known) == 3
    long = token({"iss": "ann", "n": "x" * module.LONGEST_REMEMBERED})
    assert one.access(exchange(bearer(long))) is None
    assert module.digest(long.encode()) not in one._known
    assert not any(SECRET.encode() in key or GOOD.encode() in key for key in one._known)


# --- together with others ------------------------------------------------------------------------------------


def test_preflights_and_unknown_callers():
    """As with every authentication plugin."""
    assert ask("x", method="OPTIONS", run_on_preflight=False).consumer is None
    one = ask(token({"iss": "eve"}), anonymous="nobody")
    assert (one.consumer.username, one.claims) == ("nobody", None)


def test_private_keys_are_refused_as_they_are_read():
    """With the place, and without the key."""
    text = private_pem(private("ES256"))
    consumer = {"username": "a", "jwt_secrets": [{"key": "a", "algorithm": "ES256", "rsa_public_key": text}]}
    with pytest.raises(Exception, match=r"jwt_secrets\[0\]: rsa_public_key is a private key") as caught:
        kit(consumer)
    assert text.splitlines()[1] not in str(caught.value)
