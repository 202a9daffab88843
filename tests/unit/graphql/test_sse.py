"""Server-sent events: what the specification says of lines, fields and ends, however the bytes are split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.errors import GatewayError
from proxyd.graphql.subscriptions.sse import (
    COMPLETE,
    Event,
    EventFilter,
    EventReader,
    Once,
    labelled_complete,
    labelled_next,
    next_event,
)

CASES = [
    ("two lines of data", b"data: YHOO\ndata: +2\n\n", [Event(b"message", b"YHOO\n+2")]),
    ("a comment", b": test\n\n", []),
    ("empty data", b"data\n\ndata\ndata\n\ndata:", [Event(b"message", b""), Event(b"message", b"\n")]),
    (
        "one space is left out",
        b"data:test\n\ndata:  test\n\n",
        [Event(b"message", b"test"), Event(b"message", b" test")],
    ),
    ("a type", b"event: next\ndata: {}\n\n", [Event(b"next", b"{}")]),
    ("the last type counts", b"event: a\nevent: b\ndata:\n\n", [Event(b"b", b"")]),
    (
        "a type holds for one event",
        b"event: a\ndata:1\n\ndata:2\n\n",
        [Event(b"a", b"1"), Event(b"message", b"2")],
    ),
    ("no data", b"event: complete\n\n", [Event(b"complete", None)]),
    ("CRLF", b"event: a\r\ndata: 1\r\n\r\n", [Event(b"a", b"1")]),
    ("CR", b"event: a\rdata: 1\r\r", [Event(b"a", b"1")]),
    ("mixed ends", b"event: a\rdata: 1\n\r\ndata: 2\r\n\n", [Event(b"a", b"1"), Event(b"message", b"2")]),
    ("a byte order mark", b"\xef\xbb\xbfdata: 1\n\n", [Event(b"message", b"1")]),
    ("a second one is part of the name", b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n", []),
    ("one behind the first line", b"\n\xef\xbb\xbfdata: 1\n\n", []),
    ("other fields", b"id: 7\nretry: 10\nfoo: bar\nDATA: 1\n\n", []),
    ("an end in the middle", b"data: 1\n", []),
    ("a colon in the value", b"data: a:b\n\n", [Event(b"message", b"a:b")]),
]


def split(data, cuts):
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize(("sent", "events"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_stream_is_read_as_browsers_do(sent, events):
    """Whole, and byte by byte."""
    assert EventReader().feed(sent) == events
    reader = EventReader()
    assert [event for byte in sent for event in reader.feed(bytes([byte]))] == events


@given(
    st.lists(
        st.sampled_from([b"\r", b"\n", b"data", b"event", b":", b" ", b"x", b"\xef\xbb\xbf"]), max_size=40
    ),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_any_split_gives_the_same_events(pieces, cuts):
    """Of bytes that are likely to matter."""
    sent = b"".join(pieces)
    whole = EventReader().feed(sent)
    reader = EventReader()
    assert [event for piece in split(sent, cuts) for event in reader.feed(piece)] == whole
    changed = EventFilter(lambda _, data: data[::-1])
    one = changed.feed(sent, True)
    changed = EventFilter(lambda _, data: data[::-1])
    assert b"".join(changed.feed(piece, False) for piece in split(sent, cuts)) == one
    # ... and behind the filter are the same events, each with its data changed.
    turned = [Event(event.type, event.data and event.data[::-1]) for event in whole]
    assert [event for event in EventReader().feed(one) if event.data is not None] == [
        event for event in turned if event.data is not None
    ]


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=4))
def test_whatever_a_result_holds_arrives(payload, cuts):
    """Line ends become one kind, and nothing in a result begins another event."""
    expected = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    sent = next_event(payload) + labelled_next(b'"1"', b"{}") + labelled_complete(b'"1"') + COMPLETE
    reader = EventReader()
    assert [event for piece in split(sent, cuts) for event in reader.feed(piece)] == [
        Event(b"next", expected),
        Event(b"next", b'{"id":"1","payload":{}}'),
        Event(b"complete", b'{"id":"1"}'),
        Event(b"complete", b""),
    ]


@pytest.mark.parametrize("make", [EventReader, lambda limit: EventFilter(lambda _, data: data, limit)])
@pytest.mark.parametrize(
    "piece",
    [b"x", b"data: x\n", b"data\n", b"event: x\n"],
    ids=["endless line", "lines", "empty lines", "types"],
)
def test_an_event_without_an_end_is_given_up(make, piece):
    """At the limit, to the piece."""
    reader = make(100)

    def feed():
        return reader.feed(piece) if isinstance(reader, EventReader) else reader.feed(piece, False)

    for _ in range(100 // len(piece)):
        feed()
    with pytest.raises(GatewayError, match="event of the answer is too long"):
        feed()


def test_endless_comments_are_no_event():
    """They are passed over and passed on, and nothing is kept of them."""
    reader, changed = EventReader(10), EventFilter(lambda _, data: data, 10)
    for _ in range(100):
        assert reader.feed(b": hi\n\n") == []
        assert changed.feed(b": hi\n\n", False) == b": hi\n\n"


def test_a_filter_passes_on_what_is_no_data():
    """Ids, times to retry, comments and unknown fields stay; a comment in front of an event does not wait for it."""
    changed = EventFilter(lambda kind, data: kind + b"/" + data)
    assert changed.feed(b"retry: 3\nid: 7\nevent: next\ndata: 1\n", False) == b""
    assert changed.feed(b": in between\n\n: hi\n", False) == (
        b"retry: 3\nid: 7\nevent: next\n: in between\ndata: next/1\n\n: hi\n"
    )
    assert changed.feed(b"data: unfinished", True) == b""


def test_reprs_show_what_is_kept():
    """Of a reader and of a filter, in bytes."""
    reader, changed = EventReader(10), EventFilter(lambda _, data: data, 10)
    reader.feed(b"data\nx")
    changed.feed(b"x", False)
    assert (repr(reader), repr(changed)) == ("<EventReader 6/10>", "<EventFilter 1/10>")


def test_what_goes_to_many_is_encoded_once():
    """It has to be the very same; what is large is not kept."""
    encoded = []

    def encode(payload):
        encoded.append(payload)
        return payload * 2

    once = Once(encode)
    small, large = b"a" * 2, b"b" * 40_000
    assert [once(small), once(small), once(large), once(large), once(small)] == [
        b"aaaa",
        b"aaaa",
        large * 2,
        large * 2,
        b"aaaa",
    ]
    assert (encoded, repr(once)) == ([small, large, large], "<Once 2 bytes>")
