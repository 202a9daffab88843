"""PROXY headers: read strictly, and no further than they go."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.downstream.proxy_protocol import MAX_BLOCK, MAX_LINE, PrefaceError, PrefaceReader, Source

MARK = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n"
LONGEST = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535".ljust(MAX_LINE - 2, b"x") + b"\r\n"


def block(command=0x21, family=0x11, addresses=None, more=b""):
    if addresses is None:
        addresses = (
            bytes([203, 0, 113, 7, 192, 0, 2, 1]) + (40000).to_bytes(2, "big") + (443).to_bytes(2, "big")
        )
    body = addresses + more
    return MARK + bytes([command, family]) + len(body).to_bytes(2, "big") + body


SIX = (
    ipaddress.ip_address("2001:db8::7").packed
    + ipaddress.ip_address("2001:db8::1").packed
    + b"\x9c\x40\x01\xbb"
)
MAPPED = ipaddress.ip_address("::ffff:203.0.113.7").packed + bytes(16) + b"\x9c\x40\x01\xbb"
THERE = Source("203.0.113.7", 40000, 443)
SIXTH = Source("2001:db8::7", 40000, 443)

HEADERS = {
    "line": (LINE, THERE),
    "line, six": (b"PROXY TCP6 2001:db8:0::7 2001:db8::1 40000 443\r\n", SIXTH),
    "line, unknown": (b"PROXY UNKNOWN\r\n", Source()),
    "line, unknown and long": (LONGEST, Source()),
    "block": (block(), THERE),
    "block, six": (block(family=0x21, addresses=SIX), SIXTH),
    "block, four in six": (block(family=0x21, addresses=MAPPED), THERE),
    "block with more": (block(more=b"\x03\x00\x04\x00\x00\x00\x00" + b"\x04\x00\x20" + bytes(32)), THERE),
    "block, local": (block(command=0x20, family=0, addresses=b""), Source()),
    "block, local with an address": (block(command=0x20), Source()),
    "block, unspecified": (block(family=0, addresses=b""), Source()),
    "block, unix": (block(family=0x31, addresses=bytes(216)), Source()),
    "longest block": (block(more=bytes(MAX_BLOCK - 28)), THERE),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_tells_where_a_client_comes_from(name):
    """In one piece, with what follows it left alone."""
    header, source = HEADERS[name]
    reader = PrefaceReader()
    assert reader.feed(header + b"GET / HTTP/1.1\r\n") == len(header)
    assert reader.source == source


@given(data=st.data())
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_may_come_in_pieces(name, data):
    """However it is cut, the same is taken and the same is told, and nothing before its last byte."""
    header, source = HEADERS[name]
    stream = header + b"\r\n\r\nPROXY"
    reader, position = PrefaceReader(), 0
    while reader.source is None:
        assert position < len(header)
        size = data.draw(st.integers(1 + len(header) // 100, max(60, len(header))))
        position += reader.feed(stream[position : position + size])
    assert (position, reader.source) == (len(header), source)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x00\x00",
        b"proxy TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY  TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2 3\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n",
        b"PROXY TCP4 203.0.113.07 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 203.0.113 192.0.2.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 01 2\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 2\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 +1 2\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 \xd9\xa1 2\r\n",
        b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY UNKNOWN " + b"x" * MAX_LINE,
        LONGEST[:-2] + b"x\r\n",
        b"\r\n\r\n\0\r\nQUIX",
        b"\r\nGET",
        block(command=0x11),
        block(command=0x22),
        block(family=0x12),
        block(family=0x41),
        block(addresses=bytes(11)),
        block(family=0x21, addresses=bytes(35)),
        block(more=bytes(MAX_BLOCK)),
    ],
)
def test_anything_else_is_no_header(data):
    """Nothing is guessed: whoever stands in front sends what it has to, or is cut."""
    with pytest.raises(PrefaceError):
        PrefaceReader().feed(data)


@given(data=st.binary(min_size=1, max_size=120), mark=st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", MARK]))
def test_any_bytes_are_read_refused_or_waited_for(data, mark):
    """And never more of them taken than there are."""
    reader = PrefaceReader()
    try:
        assert 0 < reader.feed(mark + data) <= len(mark + data)
    except PrefaceError:
        assert reader.source is None


@given(
    source=st.ip_addresses(),
    port=st.integers(0, 65535),
    version=st.sampled_from([1, 2]),
)
def test_what_is_written_is_read(source, port, version):
    """Any address and port, in either version."""
    six = source.version == 6
    if version == 1:
        header = f"PROXY TCP{source.version} {source} {source} {port} 443\r\n".encode()
    else:
        header = block(
            family=0x21 if six else 0x11,
            addresses=source.packed * 2 + port.to_bytes(2, "big") + b"\x01\xbb",
        )
    reader = PrefaceReader()
    if getattr(source, "scope_id", None):
        return
    assert reader.feed(header) == len(header)
    assert reader.source == Source(str(getattr(source, "ipv4_mapped", None) or source), port, 443)
