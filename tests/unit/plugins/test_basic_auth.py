"""basic-auth: names and passwords."""

from __future__ import annotations

import base64
import hashlib

import pytest
from plugin_case import challenge, exchange, kit, make, sent

from proxyd.plugins.basic_auth import BasicAuth

BOB_ID = "22222222-2222-4222-8222-222222222222"
BOB = {"id": BOB_ID, "username": "bob", "basicauth_credentials": [{"username": "bob@x", "password": "p:w"}]}
HASHED = {
    **BOB,
    "basicauth_credentials": [
        {"username": "bob@x", "password": hashlib.sha1(f"p:w{BOB_ID}".encode()).hexdigest()}
    ],
}


@pytest.fixture
def lent(request):
    return kit(BOB) if request.param == "plain" else kit(HASHED, _transform=False)


def basic(text, scheme=b"Basic"):
    return scheme + b" " + base64.b64encode(text.encode())


def test_defaults():
    """Kong's."""
    assert BasicAuth.Config().model_dump() == {
        "anonymous": None,
        "run_on_preflight": True,
        "hide_credentials": False,
        "realm": "service",
    }


@pytest.mark.parametrize("lent", ["plain", "hashed"], indirect=True)
@pytest.mark.parametrize("header", [b"Authorization", b"Proxy-Authorization"])
def test_the_right_password_lets_in(lent, header):
    """Whether the file holds it in clear or as Kong's digest."""
    one = exchange((header, basic("bob@x:p:w", b"bAsIc")))
    assert make(BasicAuth, lent, hide_credentials=True).access(one) is None
    assert sent(one) == {
        "x-consumer-id": BOB_ID,
        "x-consumer-username": "bob",
        "x-credential-identifier": "bob@x",
    }
    assert "p:w" not in one.credential.password


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"Basic",
        b"Basic !!!!",
        b"Basic " + base64.b64encode(b"\xff:\xff"),
        b"Bearer abc",
        basic("bob@x"),
        basic("bob@x:"),
        basic("bob@x:p:W"),
        basic("alice:p:w"),
        basic(":"),
    ],
)
@pytest.mark.parametrize("lent", ["plain", "hashed"], indirect=True)
def test_anything_else_is_refused(value, lent):
    """In one way, whatever was wrong; a digest is no password."""
    fields = () if value is None else ((b"Authorization", value),)
    reply = make(BasicAuth, lent).access(exchange(*fields))
    assert challenge(reply) == (401, "Unauthorized", 'Basic realm="service"')


def test_a_stored_digest_is_no_password():
    """Who reads the file does not get in with it."""
    digest = HASHED["basicauth_credentials"][0]["password"]
    one = exchange((b"Authorization", basic(f"bob@x:{digest}")))
    assert make(BasicAuth, kit(HASHED, _transform=False)).access(one).status == 401


RIGHT, WRONG, STRANGER = basic("bob@x:p:w"), basic("bob@x:no"), basic("eve:p:w")


@pytest.mark.parametrize(
    ("proxy", "authorization", "let_in", "left"),
    [
        (STRANGER, RIGHT, True, set()),
        (b"Basic !!", RIGHT, True, set()),
        (b"Bearer abc", RIGHT, True, {"proxy-authorization"}),
        (RIGHT, b"Bearer abc", True, {"authorization"}),
        (RIGHT, STRANGER, True, {"authorization"}),
        (WRONG, RIGHT, False, {"authorization"}),
        (STRANGER, WRONG, False, set()),
        (STRANGER, b"hmac x", False, {"authorization"}),
    ],
)
def test_two_headers(proxy, authorization, let_in, left):
    """Authorization is looked at unless the other names somebody who is known; only what was looked at is hidden."""
    one = exchange((b"Proxy-Authorization", proxy), (b"Authorization", authorization))
    reply = make(BasicAuth, kit(BOB), hide_credentials=True).access(one)
    assert (reply is None) == let_in
    assert {"proxy-authorization", "authorization"} & sent(one).keys() == left


def test_without_hiding_both_headers_pass():
    """As they came."""
    one = exchange((b"Proxy-Authorization", STRANGER), (b"Authorization", RIGHT))
    assert make(BasicAuth, kit(BOB)).access(one) is None
    assert (sent(one)["proxy-authorization"], sent(one)["authorization"]) == (
        STRANGER.decode(),
        RIGHT.decode(),
    )
