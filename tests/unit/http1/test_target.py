"""The request target: one form per path, and refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.errors import ProtocolError
from proxyd.http1.target import (
    normalise_path,
    parse_host,
    parse_target,
    plain_form,
)


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/.well-known/acme", "/.well-known/acme"),
        ("/a...b/...", "/a...b/..."),
        ("/%61%2D%2e%5F%7E%30", "/a-._~0"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%5cb", "/a%5Cb"),
        ("/caf%c3%a9%20x", "/caf%C3%A9%20x"),
        ("/a%3Ab%40c", "/a%3Ab%40c"),
        ("/%25", "/%25"),
        ("/%2561", "/%2561"),
        ("//a///b//", "/a/b/"),
        ("/a/./b/.", "/a/b/"),
        ("/a/b/../c", "/a/c"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a/../..", "/"),
        ("/%2e%2e/a", "/a"),
        ("/a/.%2E/b", "/b"),
        ("/a/%2e./b", "/b"),
        ("/a/%2E/b", "/a/b"),
        ("/a//../b", "/b"),
        ('/a|b^c[d]{e}"f<g>`', "/a%7Cb%5Ec%5Bd%5D%7Be%7D%22f%3Cg%3E%60"),
        ("/v1/users:batch;x=1,2&c=(d)*!$'@+", "/v1/users:batch;x=1,2&c=(d)*!$'@+"),
        ("/%01%0d%0A%7f", "/%01%0D%0A%7F"),
    ],
)
def test_a_path_has_one_normal_form(path, normal):
    """Escapes, dot segments, slashes and stray characters lead to one form."""
    assert normalise_path(path) == normal


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "*",
        "/%",
        "/%4",
        "/%zz",
        "/%4g",
        "/%+1",
        "/% 1",
        "/a%",
        "/%00",
        "/a\\b",
        "/..\\b",
        "/a b",
        "/a#b",
        "/a?b",
        "/a\x00",
        "/a\n",
        "/a\x7f",
        "/é",
        "/..%2fadmin",
        "/a%2F..%2Fadmin",
        "/a/..%5Cadmin",
        "/a%5c../admin",
        "/a%2f..",
        "/a%2F.",
        "/%2e%2e%2fadmin",
        "/a/..;/admin",
        "/a/.;x=1/admin",
        "/a/%2e%2e%3b/admin",
    ],
)
def test_a_doubtful_path_is_refused(path):
    """Nothing that two programs could read differently gets through."""
    with pytest.raises(ProtocolError) as caught:
        normalise_path(path)
    assert caught.value.status == 400


PATHISH = st.text(
    st.one_of(
        st.sampled_from("/.%2eEfF5Cc;ab01~|[\\"), st.characters(min_codepoint=0x21, max_codepoint=0x7E)
    ),
    max_size=40,
).map(lambda text: "/" + text)


@given(PATHISH)
def test_normalising_is_idempotent_and_leaves_no_dots(path):
    """A normal path is its own normal form and has neither dot segments nor empty ones inside."""
    try:
        normal = normalise_path(path)
    except ProtocolError:
        return
    assert normalise_path(normal) == normal
    assert normal.startswith("/")
    segments = normal.split("/")[1:]
    assert not {".", ".."} & set(segments)
    assert "" not in segments[:-1]
    assert "\\" not in normal


@given(PATHISH)
def test_the_fast_way_of_a_target_is_the_careful_way(path):
    """parse_target gives the path that normalise_path gives, or refuses with it."""
    before = path.partition("?")[0]
    try:
        expected = normalise_path(before)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            parse_target("GET", path.encode())
        return
    if "#" not in path:
        assert parse_target("GET", path.encode())[0] == expected


@given(st.binary(max_size=60), st.sampled_from(["GET", "OPTIONS", "CONNECT"]))
def test_any_bytes_give_a_target_or_a_refusal(target, method):
    """Arbitrary bytes raise nothing but ProtocolError."""
    try:
        path, query, authority = parse_target(method, target)
    except ProtocolError:
        return
    assert path == "*" or path.startswith("/")
    assert not query or query.startswith("?")
    assert authority is None or authority


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/a%2Fb", "/a/b"),
        ("/a%5Cb", "/a/b"),
        ("/%2Fa", "/a"),
        ("/a%3Ab%21", "/a:b!"),
        ("/a%20b%25%3F", "/a%20b%25%3F"),
        ("/%252F", "/%252F"),
    ],
)
def test_the_plain_form_is_what_a_decoding_backend_sees(path, plain):
    """Escapes of path characters are decoded once, with the backslash as a slash."""
    assert plain_form(path) == plain


@pytest.mark.parametrize(
    ("method", "target", "parts"),
    [
        ("GET", b"/a?b=c", ("/a", "?b=c", None)),
        ("GET", b"/a?", ("/a", "?", None)),
        ("GET", b"/a", ("/a", "", None)),
        ("GET", b"/a/../b?x=/../y", ("/b", "?x=/../y", None)),
        ("GET", b'/?q=a|b[c]{d}^"`\\<>%zz?', ("/", '?q=a|b[c]{d}^"`\\<>%zz?', None)),
        ("GET", b"/%20?a", ("/%20", "?a", None)),
        ("OPTIONS", b"*", ("*", "", None)),
        ("GET", b"http://Host:80/a?b", ("/a", "?b", b"Host:80")),
        ("GET", b"HTTPS://h", ("/", "", b"h")),
        ("GET", b"http://h?x", ("/", "?x", b"h")),
        ("OPTIONS", b"http://h", ("*", "", b"h")),
        ("OPTIONS", b"http://h?x", ("/", "?x", b"h")),
    ],
)
def test_a_target_falls_into_its_parts(method, target, parts):
    """Origin form, absolute form and the asterisk."""
    assert parse_target(method, target) == parts


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", b"", 400),
        ("GET", b"*", 400),
        ("GET", b"a/b", 400),
        ("GET", b"?x", 400),
        ("GET", b"ftp://h/", 400),
        ("GET", b"http:///a", 400),
        ("GET", b"http:/a", 400),
        ("GET", b"/a?b#c", 400),
        ("GET", b"/a?b c", 400),
        ("GET", b"/a?\x7f", 400),
        ("GET", b"/a?\r\n", 400),
        ("GET", b"/a\n", 400),
        ("GET", b"/a?b\n", 400),
        ("GET", b"/a?\xc3\xa9", 400),
        ("GET", b"/\xc3\xa9", 400),
        ("CONNECT", b"h:443", 501),
        ("CONNECT", b"/a", 501),
    ],
)
def test_a_bad_target_is_refused(method, target, status):
    """What is no target of this method, or no target at all."""
    with pytest.raises(ProtocolError) as caught:
        parse_target(method, target)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"Example.COM", "example.com"),
        (b"example.com.", "example.com"),
        (b"example.com.:8080", "example.com:8080"),
        (b"my_service-1:80", "my_service-1:80"),
        (b"127.0.0.1:0080", "127.0.0.1:80"),
        (b"h:", "h"),
        (b"h:0", "h:0"),
        (b"h:65535", "h:65535"),
        (b"[::1]", "[::1]"),
        (b"[0:0:0:0:0:0:0:1]:8443", "[::1]:8443"),
        (b"[2001:DB8::A]", "[2001:db8::a]"),
    ],
)
def test_a_host_has_one_form(value, host):
    """Lower case, no trailing dot, compressed addresses, plain ports."""
    assert parse_host(value) == host


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b".",
        b"a..b",
        b".a",
        b"a b",
        b"a,b",
        b"a/b",
        b"a@b",
        b"user:pw@b",
        b"a:b",
        b"a:65536",
        b"a:123456",
        b"a:-1",
        b"a:80:80",
        b"a%2eb",
        b"\xc3\xa9",
        b"a\x00",
        b"a\n",
        b"[::1",
        b"::1",
        b"[1::2::3]",
        b"[fe80::1%25eth0]",
        b"[v1.x]",
        b"[127.0.0.1]",
        b"a" * 256,
    ],
)
def test_a_malformed_host_is_refused(value):
    """What is no name, address or port."""
    with pytest.raises(ProtocolError):
        parse_host(value)


@given(st.binary(max_size=40))
def test_any_host_bytes_give_a_host_or_a_refusal(value):
    """A host that is accepted is its own form."""
    try:
        host = parse_host(value)
    except ProtocolError:
        return
    assert parse_host(host.encode()) == host


def test_the_host_cache_is_bounded():
    """Strangers' hosts cannot fill the memory."""
    for number in range(3000):
        parse_host(b"h%d" % number)
    assert parse_host.cache_info().currsize <= 1024
