"""Header sections: asked, changed, and taken apart only when somebody looks."""

from __future__ import annotations

import pytest

from proxyd.http1 import encoder
from proxyd.http1.headers import Block, Headers, is_field_value, strip_hop_by_hop

RAW = b"Accept: a\r\nX-Y:  1 \r\nACCEPT:b\r\nEmpty:\r\n"


def test_a_section_is_kept_as_it_came_until_somebody_looks():
    """What is only passed on is never split."""
    headers = Headers(None, RAW)
    assert headers.encode() is RAW
    assert headers.raw is RAW
    assert headers.lines[b"x-y"] == b"X-Y:  1 \r\n"
    assert headers.raw is None
    assert headers.encode() == b"Accept: a\r\nACCEPT:b\r\nX-Y:  1 \r\nEmpty:\r\n"


def test_questions_about_a_field():
    """RFC 9110 section 5.2: joined, one by one, as a list, or not there."""
    headers = Headers(None, RAW)
    assert (headers.get(b"accept"), headers.get_all(b"accept")) == (b"a, b", [b"a", b"b"])
    assert (headers.get(b"empty"), headers.get_all(b"empty")) == (b"", [b""])
    assert (headers.get(b"no"), headers.get_all(b"no"), headers.tokens(b"no")) == (None, [], [])
    assert b"accept" in headers
    assert b"no" not in headers
    assert list(headers) == [(b"accept", b"a"), (b"accept", b"b"), (b"x-y", b"1"), (b"empty", b"")]


@pytest.mark.parametrize(
    ("value", "tokens"),
    [(b"a", [b"a"]), (b"A, b", [b"a", b"b"]), (b" ,a,,\tb ,", [b"a", b"b"]), (b"", []), (b",", [])],
)
def test_a_list_is_taken_apart(value, tokens):
    """RFC 9110 section 5.6.1: empty members are none."""
    assert Headers.of([(b"Connection", value)]).tokens(b"connection") == tokens


def test_changes():
    """Set replaces, add follows, remove takes all; names are found in any case."""
    headers = Headers(None, RAW)
    headers.set(b"ACCEPT", b"c")
    headers.add(b"x-y", b"2")
    headers.add(b"New", b"n")
    headers.remove(b"empty")
    headers.remove(b"no")
    assert headers.encode() == b"ACCEPT: c\r\nX-Y:  1 \r\nx-y: 2\r\nNew: n\r\n"


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_block_takes_the_place_of_what_it_names(looked_at):
    """Also of fields of which it has no line; the others stay, and it stands behind them."""
    headers = Headers(None, RAW)
    if looked_at:
        assert headers.lines
    headers.put(Block.of([(b"X-Y", b"2"), (b"New", b"n"), (b"New", b"m")], absent=[b"Empty"]))
    assert headers.encode() == b"Accept: a\r\nACCEPT:b\r\nX-Y: 2\r\nNew: n\r\nNew: m\r\n"


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_copy_is_a_section_of_its_own(looked_at):
    """A change to one does not reach the other."""
    headers = Headers(None, RAW)
    if looked_at:
        headers.get(b"accept")
    copy = headers.copy()
    copy.set(b"accept", b"c")
    assert (headers.get(b"accept"), copy.get(b"accept")) == (b"a, b", b"c")


def test_values_stay_out_of_logs():
    """A value may be a secret; a name is not."""
    assert repr(Headers(None, b"Authorization: hunter2\r\nA: 1\r\n")) == "Headers(['a', 'authorization'])"


def test_what_describes_this_hop_is_taken_out():
    """RFC 9110 section 7.6.1: the known fields, and those that Connection names but for the protected."""
    headers = Headers.of(
        [
            (b"Connection", b"X-One, x-two"),
            (b"Connection", b"Host, Content-Length, Cache-Control, Authorization"),
            (b"X-One", b"1"),
            (b"X-TWO", b"2"),
            (b"X-Three", b"3"),
            (b"Cache-Control", b"no-store"),
            (b"Transfer-Encoding", b"chunked"),
            (b"Keep-Alive", b"timeout=1"),
            (b"Upgrade", b"x"),
            (b"TE", b"trailers"),
            (b"Proxy-Connection", b"x"),
        ]
    )
    strip_hop_by_hop(headers)
    assert [name for name, _ in headers] == [b"x-three", b"cache-control"]


@pytest.mark.parametrize(
    ("value", "fits"),
    [(b"", True), (b"a b\tc", True), (b"\xe9", True), (b"\r", False), (b"a\n", False), (b"\0", False), (b"\x7f", False)],
)  # fmt: skip
def test_what_fits_in_a_field(value, fits):
    """RFC 9110 section 5.5: no control but the tab."""
    assert is_field_value(value) is fits


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [
        (200, b"", b"HTTP/1.1 200 OK\r\n"),
        (404, b"Not Found", b"HTTP/1.1 404 Not Found\r\n"),
        (404, b"Gone fishing", b"HTTP/1.1 404 Gone fishing\r\n"),
        (599, b"", b"HTTP/1.1 599 \r\n"),
        (599, b"Mine", b"HTTP/1.1 599 Mine\r\n"),
    ],
)
def test_a_status_line(status, reason, line):
    """RFC 9112 section 4: the phrase is the upstream's, or the registered one, and its space is always there."""
    assert encoder.status_line(status, reason) == line


def test_a_line_is_appended_without_splitting_the_others():
    """Whether somebody has looked at the section or not, the field is there."""
    raw, split = Headers(None, b"A: 1\r\n"), Headers.of([(b"A", b"1")])
    for headers in (raw, split):
        headers.append(b"B-C: 2\r\n")
    assert raw.raw == b"A: 1\r\nB-C: 2\r\n"
    assert raw.get(b"b-c") == split.get(b"b-c") == b"2"
