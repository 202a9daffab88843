"""cors: whose pages may read what."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.http1.headers import Headers
from proxyd.plugins.cors import METHODS, Cors

APP, EVIL = b"https://app.example.com", b"https://app.example.com.evil.org"


def answer(plugin, *fields, origin=APP, method="GET", before=()):
    """Return the headers that an answer has behind the plugin."""
    one = exchange(*([(b"Origin", origin)] if origin else []), *fields, method=method)
    reply = plugin.access(one)
    headers = reply.headers.copy() if reply is not None else Headers.of(before)
    plugin.header_filter(one, reply.status if reply else 200, headers)
    return reply and reply.status, {name.decode(): headers.get(name).decode() for name in headers.lines}


def preflight(plugin, *fields, origin=APP):
    return answer(
        plugin, (b"Access-Control-Request-Method", b"PUT"), *fields, origin=origin, method="OPTIONS"
    )


def test_defaults():
    """Kong's."""
    assert Cors.Config().model_dump() == {
        "origins": None,
        "methods": METHODS,
        "headers": None,
        "exposed_headers": None,
        "credentials": False,
        "max_age": None,
        "preflight_continue": False,
        "private_network": False,
        "allow_origin_absent": True,
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"origins": ["https://(app"]}, "not a regular expression"),
        ({"origins": []}, "at least 1"),
        ({"headers": ["A: b"]}, "not the name of a header"),
        ({"exposed_headers": ["a\nb"]}, "not the name of a header"),
        ({"methods": ["get"]}, "GET"),
    ],
)
def test_what_is_refused(config, message):
    """What could not be sent, or never match."""
    with pytest.raises(ValidationError, match=message):
        Cors.Config(**config)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        (None, APP, "*"),
        (["*"], None, "*"),
        (["https://other.example"], APP, "https://other.example"),
        (["https://other.example", "https://app.example.com"], APP, APP.decode()),
        (["https://other.example", "https://app.example.com"], EVIL, None),
        (["https://other.example", "https://app.example.com"], b"https://app.example.com:444", None),
        (["https://other.example", "https://app.example.com"], None, None),
        (["app.example.com"], APP, APP.decode()),
        (["app.example.com"], b"http://app.example.com:8080", "http://app.example.com:8080"),
        (["app.example.com"], EVIL, None),
        ([r"https://.*\.example\.com"], APP, APP.decode()),
        ([r"https://.*\.example\.com"], EVIL, None),
        ([r"https://app\.example\.com|null"], EVIL, None),
        ([r".*\.example\.com"], b"https://[::1", None),
        (["https://a.example", "https://b.example"], b"null", None),
    ],
)
def test_origins(origins, origin, allowed):
    """A regular expression matches all of an origin or nothing; one exact origin is told to all, as in Kong."""
    _, headers = answer(make(Cors, origins=origins), origin=origin)
    assert headers.get("access-control-allow-origin") == allowed
    assert ("vary" in headers) == (allowed != "*")


def test_a_preflight_is_answered():
    """With what was configured, or asked for."""
    assert preflight(make(Cors, origins=["https://app.example.com"], max_age=60, credentials=True)) == (
        200,
        {
            "access-control-allow-methods": ",".join(METHODS),
            "access-control-max-age": "60",
            "vary": "Origin",
            "access-control-allow-origin": APP.decode(),
            "access-control-allow-credentials": "true",
        },
    )
    asked = (b"Access-Control-Request-Headers", b"x-a, x-b")
    _, echoed = preflight(make(Cors), asked)
    assert (echoed["access-control-allow-headers"], echoed["access-control-allow-origin"]) == (
        "x-a, x-b",
        "*",
    )
    _, fixed = preflight(make(Cors, headers=["X-C"], methods=["GET"]), asked)
    assert (fixed["access-control-allow-headers"], fixed["access-control-allow-methods"]) == ("X-C", "GET")


def test_a_preflight_of_another_origin_is_told_nothing():
    """So that the browser refuses it."""
    status, headers = preflight(make(Cors, origins=["https://a.example", "https://b.example"]), origin=EVIL)
    assert (status, headers) == (200, {"vary": "Origin"})


def test_private_networks():
    """Only where both sides say so."""
    asked = (b"Access-Control-Request-Private-Network", b"true")
    name = "access-control-allow-private-network"
    assert preflight(make(Cors, private_network=True), asked)[1][name] == "true"
    assert name not in preflight(make(Cors), asked)[1]


@pytest.mark.parametrize(
    ("fields", "method", "config"),
    [
        ((), "OPTIONS", {}),
        (((b"Access-Control-Request-Method", b"PUT"),), "GET", {}),
        (((b"Access-Control-Request-Method", b"PUT"),), "OPTIONS", {"preflight_continue": True}),
    ],
)
def test_what_is_no_preflight_goes_on(fields, method, config):
    """To the upstream."""
    assert answer(make(Cors, **config), *fields, method=method)[0] is None


def test_the_upstreams_own_headers_are_replaced():
    """All but Vary, which grows."""
    before = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Vary", b"Accept"),
    ]
    plugin = make(Cors, origins=["https://a.example", "https://app.example.com"], exposed_headers=["X-Total"])
    assert answer(plugin, before=before)[1] == {
        "vary": "Accept, Origin",
        "access-control-allow-origin": APP.decode(),
        "access-control-expose-headers": "X-Total",
    }
    assert answer(plugin, origin=EVIL, before=before)[1] == {"vary": "Accept, Origin"}


def test_a_wildcard_with_credentials_echoes_the_origin():
    """As browsers take no ``*`` there."""
    _, headers = answer(make(Cors, credentials=True))
    assert (headers["access-control-allow-origin"], headers["access-control-allow-credentials"]) == (
        APP.decode(),
        "true",
    )


def test_answers_without_an_origin_can_be_left_alone():
    """allow_origin_absent: false."""
    assert answer(make(Cors, allow_origin_absent=False), origin=None)[1] == {}


def test_remembered_origins_are_bounded():
    """Clients choose what stands there."""
    plugin = make(Cors, origins=["a.example", "b.example"])
    for number in range(3000):
        answer(plugin, origin=b"https://%d.example" % number)
    assert 0 < len(plugin._marker._known) <= 1024


def test_what_is_too_long_for_an_origin_is_none():
    """And is not remembered, which would take kilobytes each."""
    long = b"https://" + b"a" * 600 + b".example"
    plugin = make(Cors, origins=[r".*\.example", "https://b.example"])
    assert answer(plugin, origin=long)[1] == {"vary": "Origin"}
    assert list(plugin._marker._known) == [None]
    _, headers = answer(make(Cors, credentials=True), origin=long)
    assert headers == {"access-control-allow-origin": "*"}
