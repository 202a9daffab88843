"""Answers in parts: each is changed when it is complete, in whatever pieces it comes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.errors import GatewayError
from proxyd.graphql.parts import Multipart
from proxyd.graphql.subscriptions.sse import EventFilter

PART = b"\r\n---\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
ONE, TWO = b'{"data":1}', b'{"errors":[2]}'
BODY = b"".join(PART % (len(one), one) for one in (ONE, TWO, ONE)) + b"\r\n-----\r\n"
STREAM = b': hello\n\nevent: next\nid: 1\ndata: {"data":1}\n\nevent: next\r\ndata: {"errors":\r\ndata: [2]}\r\n\r\nevent: complete\ndata:\n\n'


def change(payload):
    return b"masked" if b"errors" in payload else payload


def events(limit):
    return EventFilter(lambda _, data: change(data), limit)


def fed(parts, *pieces):
    return b"".join([*(parts.feed(piece, False) for piece in pieces), parts.feed(b"", True)])


def read(body):
    """Return the bodies of parts, as a client splits them."""
    return [part.partition(b"\r\n\r\n")[2].partition(b"\r\n")[0] for part in body.split(b"---\r\n")[1:]]


@given(st.lists(st.integers(0, len(BODY)), max_size=6))
def test_a_part_is_changed_whatever_pieces_it_comes_in(cuts):
    """The others are what they were."""
    edges = [0, *sorted(cuts), len(BODY)]
    pieces = [BODY[start:end] for start, end in pairwise(edges)]
    out = fed(Multipart(b"-", change, 1000), *pieces)
    assert [part for part in read(out) if part] == [ONE, b"masked", ONE]
    assert b"errors" not in out
    assert out.count(b'{"data":1}') == 2
    assert out.count(b"Content-Length") == 2
    assert out.endswith(b"-----\r\n")


def test_a_part_goes_out_as_soon_as_it_is_complete():
    """The delimiter behind it may come with the next one, a minute later."""
    parts = Multipart(b"-", change, 1000)
    assert TWO not in parts.feed(PART % (len(TWO), TWO[:-1]), False)
    assert b"masked" in parts.feed(b"}", False)
    assert ONE in parts.feed(PART % (len(ONE), ONE), False)


def test_another_boundary_and_lone_line_feeds():
    """Whoever wrote the backend."""
    out = fed(
        Multipart(b"graphql", change, 1000), b"--graphql\nContent-Type: a/b\n\n" + TWO + b"\n--graphql--\n"
    )
    assert b"masked" in out
    assert TWO not in out


def test_a_part_that_breaks_off_is_changed_too():
    """What there is of it may say too much."""
    assert b"errors" not in fed(Multipart(b"-", change, 1000), PART % (9, b'{"errors":[{"mess'))


@pytest.mark.parametrize(
    "body",
    [
        PART % (2000, b'{"data":"' + b"x" * 2000),
        b"\r\n---\r\nContent-Encoding: gzip\r\n\r\nxx\r\n---\r\n",
    ],
)
def test_a_part_that_cannot_be_read_ends_the_answer(body):
    """It is too large, or encoded."""
    with pytest.raises(GatewayError):
        Multipart(b"-", change, 1000).feed(body, False)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_an_event_is_changed_whatever_pieces_it_comes_in(cuts):
    """Comments, names and ids stay; several lines of data are one payload."""
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    out = fed(events(1000), *pieces)
    assert b"errors" not in out
    assert out.startswith(b': hello\n\nevent: next\nid: 1\ndata: {"data":1}\n\n')
    assert b"event: next\ndata: masked\n\n" in out
    assert out.endswith(b"event: complete\ndata:\n\n")


def test_an_event_that_is_too_large_ends_the_answer():
    """Nothing of it has gone out."""
    with pytest.raises(GatewayError):
        events(100).feed(b"data: " + b"x" * 200, False)
    assert events(100).feed(b"data: half", True) == b""
