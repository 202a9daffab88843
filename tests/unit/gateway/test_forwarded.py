"""Who the client is, and what the upstream is told of it: Kong's rules on trusted proxies."""

from __future__ import annotations

import pytest

from proxyd.exchange import Client, Exchange
from proxyd.gateway.forwarded import RealIP, TrustedIPs, lines_for, rewrite_forwarded, without_port
from proxyd.gateway.marks import VIA
from proxyd.http1.headers import Headers
from proxyd.http1.message import RequestHead


def exchange(fields=(), *, peer="10.0.0.1", trusted=False):
    head = RequestHead("GET", "/", "/", "", 1, "h", Headers.of(fields), 0, keep_alive=True)
    return Exchange(head, Client(peer, 4000, "http", 8000, trusted=trusted), 0.0)


@pytest.mark.parametrize(
    ("blocks", "address", "trusted"),
    [
        ([], "10.0.0.1", False),
        ([], "unix:", False),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.1/8"], "10.2.0.1", True),
        (["192.0.2.7"], "192.0.2.7", True),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "10.0.0.1", False),
        (["0.0.0.0/0"], "::1", False),
        (["0.0.0.0/0", "::/0"], "::1", True),
        (["unix:"], "unix:", True),
        (["unix:"], "10.0.0.1", False),
        (["10.0.0.0/8"], "unix:", False),
        (["10.0.0.0/8"], "rubbish", False),
    ],
)
def test_who_is_trusted(blocks, address, trusted):
    """trusted_ips: networks of both families, and Unix sockets by name."""
    assert (address in TrustedIPs(blocks)) is trusted


# trusted peers, recursive, header -> the client's address
REAL = [
    ("192.0.2.1", False, "192.0.2.1"),
    ("192.0.2.1, 192.0.2.2", False, "192.0.2.2"),
    ("192.0.2.1, 192.0.2.2", True, "192.0.2.2"),
    ("192.0.2.1, 10.0.0.2", True, "192.0.2.1"),
    ("192.0.2.1, 10.0.0.2, 10.0.0.3", True, "192.0.2.1"),
    ("10.0.0.2", True, "10.0.0.2"),
    ("192.0.2.1, rubbish, 10.0.0.2", True, "10.0.0.2"),
    ("rubbish", False, "10.0.0.1"),
    ("", False, "10.0.0.1"),
    ("192.0.2.1:1234", False, "192.0.2.1"),
    ("2001:db8::1", False, "2001:db8::1"),
    ("[2001:DB8::1]:80", False, "2001:db8::1"),
    ("[2001:db8::1]", False, "2001:db8::1"),
    ("::ffff:192.0.2.1", False, "192.0.2.1"),
    ("192.0.2.1, ::ffff:10.0.0.2", True, "192.0.2.1"),
    ("fe80::1%eth0", False, "10.0.0.1"),
    ("192.0.2.1, fe80::1%a b", True, "10.0.0.1"),
    ("192.0.2.1,", False, "10.0.0.1"),
    ("010.0.0.1", False, "10.0.0.1"),
]


@pytest.mark.parametrize(("value", "recursive", "address"), REAL)
def test_the_client_behind_trusted_proxies(value, recursive, address):
    """real_ip_header and real_ip_recursive, as nginx reads them."""
    one = exchange([(b"X-Forwarded-For", value.encode())], trusted=True)
    RealIP(TrustedIPs(["10.0.0.0/8"]), b"x-forwarded-for", recursive=recursive).correct(one)
    assert one.client_ip == address


@pytest.mark.parametrize(
    ("proto", "scheme"), [(b"https", "https"), (b"HTTP", "http"), (b"ftp", "http"), (b"", "http")]
)
def test_the_scheme_behind_trusted_proxies(proto, scheme):
    """X-Forwarded-Proto, where it is one that there is."""
    one = exchange([(b"X-Forwarded-Proto", proto)], trusted=True)
    RealIP(TrustedIPs(["10.0.0.0/8"]), b"x-real-ip", recursive=False).correct(one)
    assert one.scheme == scheme


def test_what_the_upstream_is_told_of_a_plain_client():
    """The lines that are the same for every request on a connection."""
    assert lines_for(Client("192.0.2.1", 4000, "https", 8443)) == (
        b"X-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
        b"X-Forwarded-Port: 8443\r\nVia: " + VIA + b"\r\n"
    )


def test_a_client_that_forwards_nothing_is_told_of_by_its_connection():
    """Nothing is rewritten, whether anybody has looked at the headers or not."""
    one = exchange([(b"Accept", b"x")])
    assert rewrite_forwarded(one) is None
    assert one.headers.get(b"accept") == b"x"
    assert rewrite_forwarded(one) is None


SENT = [
    (b"X-Forwarded-For", b"192.0.2.1"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Host", b"other"),
    (b"X-Forwarded-Port", b"443"),
    (b"X-Forwarded-Path", b"/p"),
    (b"X-Forwarded-Prefix", b"/q"),
    (b"X-Real-IP", b"192.0.2.9"),
    (b"X-Kong-Request-Id", b"mine"),
    (b"Proxy", b"http://evil"),
    (b"Accept", b"x"),
]


@pytest.mark.parametrize("trusted", [False, True])
def test_what_a_client_forwards_is_believed_only_if_trusted(trusted):
    """X-Forwarded-For grows in any case; the others are the client's only where it is trusted."""
    one = exchange(SENT, trusted=trusted)
    if trusted:
        one.client_ip = "192.0.2.1"
    one.headers.get(b"accept")
    lines = rewrite_forwarded(one)
    assert lines is not None
    ours = [
        b"X-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n",
        b"X-Real-IP: 192.0.2.1\r\n" if trusted else b"X-Real-IP: 10.0.0.1\r\n",
    ]
    own = [b"X-Forwarded-Proto: http\r\n", b"X-Forwarded-Port: 8000\r\n"]
    believed = [b"%b: %b\r\n" % pair for pair in SENT[1:6]]
    assert sorted(lines.values()) == sorted(ours + (believed if trusted else own))
    assert one.headers.encode() == b"Accept: x\r\n"


def test_several_forwarded_fields_are_one_list():
    """RFC 9110 section 5.3: repeated lines are joined in their order."""
    one = exchange([(b"X-Forwarded-For", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2")])
    one.headers.get(b"accept")
    lines = rewrite_forwarded(one)
    assert lines is not None
    assert lines[b"x-forwarded-for"] == b"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1\r\n"


@pytest.mark.parametrize(
    ("host", "bare"),
    [("h", "h"), ("h:80", "h"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]"), ("", "")],
)
def test_a_host_without_its_port(host, bare):
    """X-Forwarded-Host names no port; that of an address in brackets is not in them."""
    assert without_port(host) == bare


def test_an_address_out_of_any_header_is_told_with_a_plain_head_too():
    """real_ip_header may name a field that no other code looks at: the section is in one piece then."""
    one = exchange((), trusted=True)
    one.request.headers = Headers(raw=b"CF-Connecting-IP: 192.0.2.7\r\n")
    RealIP(TrustedIPs(["10.0.0.1"]), b"cf-connecting-ip", recursive=False).correct(one)
    written = rewrite_forwarded(one)
    assert written is not None
    assert written[b"x-real-ip"] == b"X-Real-IP: 192.0.2.7\r\n"
