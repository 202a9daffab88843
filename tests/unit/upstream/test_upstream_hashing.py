from __future__ import annotations

import pytest
from upstream_fakes import make_exchange, make_upstream

from proxyd.model.entities import Consumer
from proxyd.upstream.hashing import CONTEXT, compile_key


def key_of(exchange, **fields):
    return compile_key(make_upstream(algorithm="consistent-hashing", **fields))(exchange)


def test_consumer():
    """The consumer's id is the key, and the absence of one is no key."""
    exchange = make_exchange()
    assert key_of(exchange, hash_on="consumer") is None
    exchange.consumer = Consumer(id="c-1", username="alice")
    assert key_of(exchange, hash_on="consumer") == "c-1"


def test_ip_is_the_corrected_address():
    """The address that trusted proxies gave is hashed, not the socket's."""
    exchange = make_exchange(client="10.9.9.9")
    exchange.client_ip = "203.0.113.7"
    assert key_of(exchange, hash_on="ip") == "203.0.113.7"


def test_header_in_any_case():
    """A header is found whatever its case in the configuration."""
    exchange = make_exchange(headers=[(b"X-Tenant", b"blue")])
    assert key_of(exchange, hash_on="header", hash_on_header="X-TENANT") == "blue"
    assert key_of(make_exchange(), hash_on="header", hash_on_header="x-tenant") is None


def test_path():
    """The path without its query is the key."""
    assert key_of(make_exchange("/a/b", "?c=1"), hash_on="path") == "/a/b"


@pytest.mark.parametrize(
    ("query", "expected"),
    [("?user=7", "7"), ("?a=1&user=b&user=a", "a&b"), ("?user=a%20b", "a b"), ("?a=1", None), ("", None)],
)
def test_query_argument(query, expected):
    """A query argument is decoded, and several are one key in any order."""
    assert key_of(make_exchange("/", query), hash_on="query_arg", hash_on_query_arg="user") == expected


def test_uri_capture():
    """A capture of the route is found by name and by number."""
    exchange = make_exchange()
    assert key_of(exchange, hash_on="uri_capture", hash_on_uri_capture="id") is None
    exchange.captures = {"id": "42", 1: "first"}
    assert key_of(exchange, hash_on="uri_capture", hash_on_uri_capture="id") == "42"
    assert key_of(exchange, hash_on="uri_capture", hash_on_uri_capture="1") == "first"


def test_fallback():
    """The fallback is hashed only where the first is absent."""
    fields = {"hash_on": "header", "hash_on_header": "x-tenant", "hash_fallback": "ip"}
    assert key_of(make_exchange(client="192.0.2.1"), **fields) == "192.0.2.1"
    assert key_of(make_exchange(headers=[(b"X-Tenant", b"blue")]), **fields) == "blue"


def test_cookie_that_came():
    """A cookie of the request is the key, and none is issued."""
    exchange = make_exchange(headers=[(b"Cookie", b"a=1; sticky=abc; b=2")])
    assert key_of(exchange, hash_on="cookie", hash_on_cookie="sticky") == "abc"
    assert exchange.context is None


def test_cookie_that_is_issued():
    """A missing cookie is issued once, and a retry hashes the same value."""
    exchange = make_exchange(headers=[(b"Cookie", b"xsticky=abc; sticky=")])
    fields = {"hash_on": "cookie", "hash_on_cookie": "sticky", "hash_on_cookie_path": "/app"}
    value = key_of(exchange, **fields)
    assert exchange.context == {CONTEXT: f"sticky={value}; Path=/app; HttpOnly".encode()}
    assert key_of(exchange, **fields) == value


def test_cookie_as_fallback():
    """A cookie is issued as the fallback too."""
    exchange = make_exchange()
    value = key_of(exchange, hash_on="consumer", hash_fallback="cookie", hash_on_cookie="sticky")
    assert value
    assert exchange.context[CONTEXT].startswith(b"sticky=")
