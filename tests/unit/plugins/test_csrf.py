"""csrf: whose pages may send with a visitor's cookies."""

from __future__ import annotations

import pytest
from plugin_case import exchange, make
from pydantic import ValidationError

from proxyd.plugins.csrf import Csrf, parse_origin

COOKIE = (b"Cookie", b"theme=dark; session=1")
OWN = (b"Origin", b"http://h")
APP = "https://app.example.com"


def answer(*fields, method="POST", upgrade="", scheme="http", host="h", **config):
    """Return the status that a request with these fields is answered with, None where it passes."""
    asked = exchange(*fields, method=method)
    asked.request.upgrade = upgrade
    asked.request.host = host
    asked.scheme = scheme
    reply = make(Csrf, **config).access(asked)
    return reply and reply.status


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"allowed_origins": ["app.example.com"]}, "is not an origin"),
        ({"allowed_origins": [f"{APP}/"]}, "is not an origin"),
        ({"allowed_origins": ["https://user@app.example.com"]}, "is not an origin"),
        ({"allowed_origins": ["https://app.example.com:port"]}, "is not an origin"),
        ({"allowed_origins": ["null"]}, "is not an origin"),
        ({"cookie_names": []}, "at least 1"),
        ({"header_name": "X CSRF"}, "pattern"),
        ({"error_code": 200}, "400"),
    ],
)
def test_what_is_refused(config, message):
    """An origin that is none, a name that is none, and an answer that does not refuse."""
    with pytest.raises(ValidationError, match=message):
        Csrf.Config(**config)


@pytest.mark.parametrize(
    ("fields", "passes"),
    [
        ([(b"Sec-Fetch-Site", b"same-origin")], True),
        ([(b"Sec-Fetch-Site", b"none")], True),
        ([(b"Sec-Fetch-Site", b"same-site")], False),
        ([(b"Sec-Fetch-Site", b"cross-site")], False),
        ([(b"Sec-Fetch-Site", b"")], False),
        ([(b"Sec-Fetch-Site", b"same-origin"), (b"Sec-Fetch-Site", b"cross-site")], False),
        ([(b"Sec-Fetch-Site", b"cross-site"), OWN], False),
        ([OWN], True),
        ([(b"Origin", b"http://H:80")], True),
        ([(b"Origin", b"https://h")], True),
        ([(b"Origin", b"http://h:8080")], False),
        ([(b"Origin", b"http://h.evil.example")], False),
        ([(b"Origin", b"null")], False),
        ([(b"Origin", b"ftp://h")], False),
        ([OWN, OWN], False),
        ([(b"Referer", b"http://h/page?x=1")], True),
        ([(b"Referer", b"http://evil.example/?http://h/")], False),
        ([(b"Referer", b"http://h@evil.example/")], False),
        ([(b"Referer", b"http://evil.example\\@h/")], False),
        ([], False),
    ],
)
def test_where_a_request_comes_from(fields, passes):
    """Fetch Metadata decides, then Origin, then Referer; what says nothing is refused."""
    assert (answer(COOKIE, *fields) is None) == passes


def test_a_page_that_anybody_could_have_written():
    """A plain page of the same host may not send to a request over TLS."""
    assert answer(COOKIE, OWN, scheme="https") == 403
    assert answer(COOKIE, (b"Origin", b"https://h"), scheme="https") is None


@pytest.mark.parametrize("host", ["", "h, evil", "h:99999"])
def test_an_odd_host_is_nobodys_own(host):
    """What the request was sent to must be an origin itself."""
    assert answer(COOKIE, OWN, host=host) == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods_pass(method):
    """They change nothing."""
    assert answer(COOKIE, (b"Sec-Fetch-Site", b"cross-site"), method=method) is None


def test_a_handshake_is_no_safe_request():
    """A WebSocket reads with the visitor's cookies, whatever page opened it."""
    fields = (COOKIE, (b"Origin", b"https://evil.example"))
    assert answer(*fields, method="GET", upgrade="websocket") == 403
    assert answer(COOKIE, OWN, method="GET", upgrade="websocket") is None


@pytest.mark.parametrize(
    ("cookies", "looked_at"),
    [
        ((), False),
        ((b"theme=dark",), False),
        ((b"theme=session",), False),
        ((b"theme=dark;session=1",), True),
        ((b"theme=dark", b"session=1"), True),
    ],
)
def test_only_cookies_that_tell_who_calls(cookies, looked_at):
    """With names given, the others may come from anywhere."""
    fields = [(b"Cookie", cookie) for cookie in cookies]
    assert (answer(*fields, cookie_names=["session"]) == 403) == looked_at


def test_other_origins_that_may_send():
    """Those of the list, whatever their site."""
    config = {"allowed_origins": [APP]}
    cross = (b"Sec-Fetch-Site", b"cross-site")
    assert answer(COOKIE, cross, (b"Origin", APP.encode()), **config) is None
    assert answer(COOKIE, (b"Referer", f"{APP}/page".encode()), **config) is None
    assert answer(COOKIE, cross, (b"Origin", b"http://app.example.com"), **config) == 403


def test_what_can_be_relaxed():
    """Hosts of the same site, and requests that say nothing."""
    assert answer(COOKIE, (b"Sec-Fetch-Site", b"same-site"), allow_same_site=True) is None
    assert answer(COOKIE, allow_unknown=True) is None
    assert answer(COOKIE, (b"Origin", b"null"), allow_unknown=True) == 403


def test_a_header_that_forms_cannot_set():
    """It is asked for beside the rest, and not of handshakes."""
    config = {"header_name": "X-Requested-With", "error_code": 400, "error_message": "No"}
    assert answer(COOKIE, OWN, **config) == 400
    assert answer(COOKIE, OWN, (b"x-requested-with", b"fetch"), **config) is None
    assert answer(COOKIE, (b"x-requested-with", b"fetch"), **config) == 400
    assert answer(COOKIE, OWN, method="GET", upgrade="websocket", **config) is None


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://A.example", ("https", "a.example", 443)),
        ("http://[2001:db8::1]:8080", ("http", "2001:db8::1", 8080)),
        ("http://[::1", None),
        ("http://a?x", None),
        ("http://", None),
        ("", None),
    ],
)
def test_origins(text, origin):
    """Scheme, host and port, the default one filled in."""
    assert parse_origin(text) == origin
