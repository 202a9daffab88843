"""hmac-auth: signed requests."""

from __future__ import annotations

import base64
import hashlib
from email.utils import formatdate

import pytest
from conversation import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from plugin_case import challenge, exchange, kit, make, sent
from pydantic import ValidationError

from proxyd.plugins.hmac_auth import MAX_BODY, HmacAuth

SECRET = "s3cr\u00e9t"
ANN = {"username": "ann", "hmacauth_credentials": [{"username": "ann@x", "secret": SECRET}]}
MUTE = {"username": "mute", "hmacauth_credentials": [{"username": "mute"}]}
NOW = FakeClock().time()
DATE = formatdate(NOW, usegmt=True)
NO_DATE = (
    "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication"
)
NOT_VALID, NOT_SAME = "HMAC signature cannot be verified", "HMAC signature does not match"


def mac(text, secret=SECRET, kind="sha256"):
    """HMAC as RFC 2104 has it, out of the hash alone."""
    size = hashlib.new(kind).block_size
    key = secret.encode() if isinstance(secret, str) else secret
    key = (hashlib.new(kind, key).digest() if len(key) > size else key).ljust(size, b"\0")
    inner = hashlib.new(kind, bytes(byte ^ 0x36 for byte in key) + text).digest()
    return base64.b64encode(hashlib.new(kind, bytes(byte ^ 0x5C for byte in key) + inner).digest()).decode()


def header(text, names, user="ann@x", algorithm="hmac-sha256", **how):
    signature = mac(
        text.encode(), kind=algorithm[5:] if algorithm.startswith("hmac-sha") else "sha256", **how
    )
    line = f'hmac username="{user}", algorithm="{algorithm}", headers="{names}", signature="{signature}"'
    return line.encode()


def signed(names="date @request-target", lines=None, date=DATE, **how):
    """Make the header fields of a request that is signed over its date and target."""
    lines = f"date: {date}\n@request-target: get /a?x=%41" if lines is None else lines
    return ((b"Date", date.encode()), (b"Authorization", header(lines, names, **how)))


def access(*fields, target="/a?x=%41", method="GET", body=None, lent=None, **config):
    one = exchange(*fields, target=target, method=method, body=body)
    one.request.framing = len(body or b"")
    return make(HmacAuth, lent or kit(ANN, MUTE), **config).access(one), one


def test_defaults():
    """Kong's."""
    assert HmacAuth.Config().model_dump() == {
        "anonymous": None,
        "run_on_preflight": True,
        "hide_credentials": False,
        "clock_skew": 300,
        "validate_request_body": False,
        "enforce_headers": (),
        "algorithms": ("hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"),
        "realm": None,
    }


@pytest.mark.parametrize("config", [{"algorithms": []}, {"algorithms": ["hmac-md5"]}, {"clock_skew": 0}])
def test_what_is_refused(config):
    """An instance that lets nobody in, or with what is no algorithm."""
    with pytest.raises(ValidationError):
        HmacAuth.Config(**config)


def test_a_vector_that_another_implementation_made():
    """As a guide to Kong prints it, made by a calculator in a browser."""
    clock = FakeClock()
    clock.value = 1_733_156_634.0 - 1_700_000_000.0
    lent = kit(
        {"username": "a", "hmacauth_credentials": [{"username": "a", "secret": "!Qwaszxerdfcv"}]}, clock=clock
    )
    given = (
        b'hmac username="a", algorithm="hmac-sha256", headers="date dummy @request-target", signature="%b"'
    )
    one = exchange(
        (b"date", b"Mon, 02 Dec 2024 16:23:54 GMT"),
        (b"dummy", b"Kong"),
        (b"authorization", given % b"lmCENhBAr+WhCzoL21aqRU44Y0C5HjS5sAU8zkmAoPE="),
        target="/kong/healthy",
    )
    assert make(HmacAuth, lent).access(one) is None


@pytest.mark.parametrize(
    "algorithm", ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"]
)
@pytest.mark.parametrize("place", [b"Authorization", b"Proxy-Authorization"])
def test_a_right_signature_lets_in(algorithm, place):
    """With any algorithm that is accepted; the upstream is told who it is."""
    date, (_, line) = signed(algorithm=algorithm)
    refused, one = access(date, (place, line), algorithms=[algorithm], hide_credentials=True)
    assert refused is None
    told = sent(one)
    assert (told["x-consumer-username"], told["x-credential-identifier"]) == ("ann", "ann@x")
    assert place.decode().lower() not in told
    assert one.credential.secret is None


@pytest.mark.parametrize(
    ("names", "lines", "fields"),
    [
        ("date request-line", f"date: {DATE}\nGET /a?x=%41 HTTP/1.1", ()),
        (
            "host X-Two x-none date",
            f"host: h\nX-Two: a, b\nx-none:\ndate: {DATE}",
            ((b"x-two", b"a"), (b"X-Two", b"b")),
        ),
        ("Date  HOST", f"Date: {DATE}\nHOST: h", ()),
    ],
)
def test_what_may_be_signed(names, lines, fields):
    """The request's line or target, the host, and headers: names as the client writes them, values in their order."""
    assert access(*signed(names, lines), *fields)[0] is None


def test_the_target_is_the_one_that_was_sent():
    """Whatever a plugin before has taken out of the query."""
    one = exchange(*signed(), target="/a?x=%41")
    one.request.query = ""
    assert make(HmacAuth, kit(ANN)).access(one) is None


@pytest.mark.parametrize(
    ("fields", "config", "message"),
    [
        ((), {}, "Unauthorized"),
        (((b"Authorization", b"Bearer x"),), {}, NO_DATE),
        (((b"Authorization", b"Bearer x"), (b"Date", DATE.encode())), {}, NOT_VALID),
        (signed(date="yesterday"), {}, NO_DATE),
        (signed(date=""), {}, NO_DATE),
        (signed(date=formatdate(NOW - 301, usegmt=True)), {}, NO_DATE),
        (signed(date=formatdate(NOW + 301, usegmt=True)), {}, NO_DATE),
        (signed(date=formatdate(NOW - 11, usegmt=True)), {"clock_skew": 10}, NO_DATE),
        ((*signed(date=formatdate(NOW - 400, usegmt=True)), (b"X-Date", DATE.encode())), {}, NO_DATE),
        (signed(user="eve"), {}, NOT_VALID),
        (signed(user="mute", secret=b""), {}, NOT_VALID),
        (signed(algorithm="hmac-sha1"), {"algorithms": ["hmac-sha256"]}, NOT_VALID),
        (signed(algorithm="none"), {}, NOT_VALID),
        (signed("date"), {"enforce_headers": ["date", "@request-target"]}, NOT_VALID),
        (signed(secret="other"), {}, NOT_SAME),
        (signed(lines="x"), {}, NOT_SAME),
        (signed("date", f"date: {formatdate(NOW + 1, usegmt=True)}"), {}, NOT_SAME),
        ((*signed()[:1], (b"Authorization", signed()[1][1].replace(b"hmac u", b'hmac x="1", u'))), {}, None),
        (
            (*signed()[:1], (b"Authorization", signed()[1][1].replace(b"hmac u", b"hmac u=1, u"))),
            {},
            NOT_VALID,
        ),
        ((*signed()[:1], (b"Authorization", signed()[1][1] + b', username="eve"')), {}, NOT_VALID),
        (
            (*signed()[:1], (b"Authorization", b'hmac username="ann@x", algorithm="hmac-sha256"')),
            {},
            NOT_VALID,
        ),
        ((*signed()[:1], (b"Authorization", signed()[1][1].replace(b'="', b'="!!'))), {}, NOT_VALID),
        ((*signed()[:1], (b"Authorization", b"hmac \xff")), {}, NOT_VALID),
        ((*signed()[:1], (b"Authorization", b"hmac")), {}, NOT_VALID),
    ],
)
def test_who_is_refused(fields, config, message):
    """With Kong's words; None is for what is let in."""
    refused, one = access(*fields, **config)
    assert (refused and challenge(refused)) == (message and (401, message, "hmac"))
    assert (one.consumer is None) == (message is not None)


def test_a_realm():
    """Is in the challenge."""
    assert challenge(access(realm="a")[0]) == (401, "Unauthorized", 'hmac realm="a"')


def test_an_unsigned_date_counts_where_none_is_signed():
    """As in Kong, whose enforce_headers is how a date is asked for."""
    fields = signed("@request-target", "@request-target: get /a?x=%41")
    assert access(*fields)[0] is None
    assert access(*fields, enforce_headers=["date"])[0].message == NOT_VALID


def test_two_headers():
    """Authorization counts where the other is of another scheme or no signature; only what is a signature is hidden."""
    date, (_, line) = signed()
    refused, one = access(
        date, (b"Proxy-Authorization", b"Basic eA=="), (b"Authorization", line), hide_credentials=True
    )
    assert (refused, "proxy-authorization" in sent(one), "authorization" in sent(one)) == (None, True, False)
    wrong = signed(secret="other")[1][1]
    refused, _ = access(date, (b"Proxy-Authorization", wrong), (b"Authorization", line))
    assert refused.message == NOT_SAME


DIGEST = f"SHA-256={base64.b64encode(hashlib.sha256(b'hello').digest()).decode()}"
OVER = f"date: {DATE}\ndigest: {DIGEST}"


@pytest.mark.parametrize(
    ("body", "digest", "names", "let_in"),
    [
        (b"hello", DIGEST, "date digest", True),
        (b"hello!", DIGEST, "date digest", False),
        (None, DIGEST, "date digest", False),
        (b"hello", DIGEST, "date", False),
        (b"hello", None, "date", False),
        (None, None, "date", True),
        (b"hello", DIGEST.replace("256", "512"), "date digest", False),
        (b"hello", DIGEST[:-1], "date digest", False),
    ],
)
async def test_a_body_and_its_digest(body, digest, names, let_in):
    """Must agree, and the digest must be signed; without a body none is needed."""
    lines = f"date: {DATE}" + (f"\ndigest: {digest}" if "digest" in names else "")
    fields = signed(names, lines) + (((b"Digest", digest.encode()),) if digest else ())
    outcome, one = access(*fields, body=body, method="POST", validate_request_body=True)
    refused = await outcome if hasattr(outcome, "__await__") else outcome
    assert (refused is None, one.consumer is not None) == (let_in, let_in)
    if refused is not None:
        assert refused.message == NOT_SAME
    assert access(*fields, body=body, method="POST")[0] is None


def test_a_body_is_read_only_for_who_has_signed():
    """Others are refused before; what is read is bounded."""
    fields = signed(secret="other")
    assert access(*fields, body=b"hello", method="POST", validate_request_body=True)[0].message == NOT_SAME
    assert MAX_BODY == 8 * 1024 * 1024


@pytest.mark.parametrize("names", ["date x x", "date x X"])
def test_a_name_is_signed_once(names):
    """Or a header section of some kilobytes would make a text of many megabytes to be signed, for whoever knows a name."""
    lines = f"date: {DATE}" + "".join(f"\n{name}: 1" for name in names.split()[1:])
    refused, one = access((b"X", b"1"), *signed(names, lines))
    assert (refused.message, one.consumer) == (NOT_VALID, None)


PIECES = st.sampled_from(
    ["hmac", " ", "username", "algorithm", "headers", "signature", "=", '"', ",", "date", "hmac-sha256"]
)


@given(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=20).map(lambda text: text.encode()))
def test_whatever_a_header_says(line, date):
    """It is refused, and nothing else comes of it."""
    refused, one = access((b"Authorization", b"hmac " + line.encode()), (b"Date", date))
    assert (refused.status, one.consumer) == (401, None)
