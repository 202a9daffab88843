"""Frames of WebSockets that are read, and the messages in them: however they are cut, whatever is in them."""

from __future__ import annotations

import contextlib
import itertools
import json

import orjson
import pytest
from graphql_wire import closing, frame, said
from hypothesis import given
from hypothesis import strategies as st

from proxyd.graphql.subscriptions.frames import Broken, Closed, Frames, Ping, Pong, shortened
from proxyd.graphql.subscriptions.protocols import LEGACY, TRANSPORT, Kind, Result, listed

LIMIT = 70_000


def read(pieces, *, masked):
    """Read bytes as one end does; returns the events and what broke, if anything did."""
    frames = Frames(LIMIT, masked=masked)
    events = []
    try:
        for piece in pieces:
            events += frames.feed(piece, 0.0)
    except Broken as broken:
        events.append((broken.code, broken.reason))
    return events


def cut(data, places):
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begun:ended] for begun, ended in itertools.pairwise(edges)]


sizes = st.one_of(st.integers(0, 200), st.sampled_from([125, 126, 65_535, 65_536]))
streams = st.lists(
    st.one_of(
        st.tuples(st.just("text"), sizes, st.integers(1, 3)),
        st.tuples(st.just("ping"), st.integers(0, 125), st.just(1)),
        st.tuples(st.just("pong"), st.just(0), st.just(1)),
    ),
    max_size=6,
)


def written(stream, *, masked):
    """Return a stream's bytes, and the events that they are."""
    data, events = b"", []
    for what, size, count in stream:
        if what == "text":
            text = ("é" + "x" * size).encode()[:size].decode("utf-8", "ignore").encode()
            events.append(text)
            parts = _split(text, count)
            for at, part in enumerate(parts):
                data += frame(part, 1 if at == 0 else 0, masked=masked, fin=at == len(parts) - 1)
        elif what == "ping":
            events.append(Ping(b"p" * size))
            data += frame(b"p" * size, 9, masked=masked)
        else:
            events.append(Pong())
            data += frame(b"", 10, masked=masked)
    return data, events


def _split(text, count):
    step = max(len(text) // count, 1)
    return [text[at * step : (at + 1) * step if at < count - 1 else None] for at in range(count)]


@given(streams, st.lists(st.integers(0, 1 << 20), max_size=8), st.booleans())
def test_pieces_make_no_difference(stream, places, server):
    """What is read does not depend on how the bytes come, of either end."""
    data, events = written(stream, masked=not server)
    data += closing(1000, "bye", masked=not server)
    events = [*events, Closed(1000, "bye")]
    assert read([data], masked=server) == events
    assert read(cut(data, places), masked=server) == events


@given(
    streams,
    st.integers(0, 1 << 20),
    st.integers(0, 255),
    st.lists(st.integers(0, 1 << 20), max_size=4),
    st.booleans(),
)
def test_what_is_malformed_is_refused_and_nothing_else(stream, place, byte, places, server):
    """Whatever byte is wrong, the outcome is events or Broken, and the same for all pieces."""
    data, _ = written(stream, masked=not server)
    if not data:
        return
    place %= len(data)
    data = data[:place] + bytes([byte]) + data[place + 1 :]
    assert read([data], masked=server) == read(cut(data, places), masked=server)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("masked", [False, True])
def test_what_is_written_can_be_read(size, masked):
    """By the other end, in every length's encoding."""
    writer = Frames(LIMIT, masked=masked)
    text = b"x" * size
    data = writer.text(text) + writer.ping() + writer.pong(b"p") + writer.close(4400, "r" * 200)
    events = read([data], masked=not masked)
    assert events == [text, Ping(b""), Pong(), Closed(4400, "r" * 123)]


def test_a_reason_is_cut_between_characters():
    """A close frame has room for 123 bytes."""
    assert shortened("é" * 100) == "é".encode() * 61


def test_frames_are_counted_by_time():
    """What was not used of two seconds is used up at once, and comes back with time."""
    frames = Frames(LIMIT, masked=False, rate=5)
    pings = frame(b"", 9, masked=True)
    assert len(list(frames.feed(pings * 10, 100.0))) == 10
    assert len(list(frames.feed(pings * 5, 101.0))) == 5
    with pytest.raises(Broken) as broken:
        list(frames.feed(pings, 101.1))
    assert broken.value.code == 1008


@given(st.binary(max_size=60))
def test_whatever_a_client_says_is_a_request_or_refused(data):
    """Nothing else comes of a message."""
    for protocol in (TRANSPORT, LEGACY):
        try:
            protocol.read_request(data, 10)
        except Broken as broken:
            assert broken.code == 4400  # noqa: PT017


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_a_result_is_what_its_message_says(payload):
    """However it is written, and never more or less than its payload."""
    for ordered in (("id", "type", "payload"), ("type", "id", "payload"), ("payload", "type", "id")):
        for separators in ((",", ":"), (" , ", " : ")):
            members = {"id": "7", "type": "next", "payload": json.loads(orjson.dumps(payload))}
            message = json.dumps({name: members[name] for name in ordered}, separators=separators).encode()
            result = TRANSPORT.read_result(message)
            assert (result.kind, result.id) == (Kind.NEXT, "7")
            assert orjson.loads(result.payload) == members["payload"]


@pytest.mark.parametrize(
    ("message", "result"),
    [
        (b'{"id":"1","type":"next","payload":{"a":1},"more":2}', Result(Kind.NEXT, "1", b'{"a":1}')),
        (b'{"id":"1","type":"next","payload":{"a":1},"payload":{"b":1}}', Result(Kind.NEXT, "1", b'{"b":1}')),
        (b'{"id":"1","type":"next","payload":{"a":1},"id":"2"}', Result(Kind.NEXT, "2", b'{"a":1}')),
        (b'{"id":"\\u0031","type":"next","payload":1}', Result(Kind.NEXT, "1", b"1")),
        (b'{"type":"complete","id":"1"}', Result(Kind.COMPLETE, "1", b"")),
        (b'{"type":"unheard of"}', None),
        (b"{}", None),
    ],
)
def test_unusual_results_are_read_in_full(message, result):
    """The quick way is taken only where it comes to the same."""
    assert TRANSPORT.read_result(message) == result


@given(st.binary(max_size=60))
def test_whatever_a_backend_says_is_a_result_or_an_error(data):
    """Nothing but ValueError comes of it."""
    for message in (data, b'{"id":"1","type":"next","payload":' + data):
        with contextlib.suppress(ValueError):
            TRANSPORT.read_result(message)


@pytest.mark.parametrize(
    ("payload", "errors"),
    [
        (b'[{"message":"a"}]', [{"message": "a"}]),
        (b'{"message":"a"}', [{"message": "a"}]),
        (b'{"errors":[{"message":"a"}]}', [{"message": "a"}]),
        (b'"a"', [{"message": "The operation has failed"}]),
        (b"", [{"message": "The operation has failed"}]),
    ],
)
def test_errors_become_a_list(payload, errors):
    """Older backends send one, or something about it."""
    assert json.loads(listed(payload)) == errors


def test_errors_become_one_for_older_clients():
    """Several are told with the first one's message."""
    several = b'[{"message":"a"},{"message":"b"}]'
    told = json.loads(LEGACY.error(b'"1"', several))
    assert told == {"id": "1", "type": "error", "payload": {"message": "a", "errors": json.loads(several)}}
    assert said(LEGACY.error(b'"1"', b' [{"message":"a"}] ')) == said(
        b'{"id":"1","type":"error","payload":{"message":"a"}}'
    )
