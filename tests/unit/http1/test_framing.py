"""Bodies: where they end, what of them goes on, and what is refused."""

from __future__ import annotations

import pytest

from proxyd.errors import ProtocolError
from proxyd.http1.framing import (
    MAX_CHUNK_LINE,
    MAX_EXTENSIONS,
    MAX_TRAILERS,
    ChunkedDecoder,
    LengthDecoder,
    UntilCloseDecoder,
    chunk,
    decoder,
    last_chunk,
)
from proxyd.http1.message import CHUNKED, UNTIL_CLOSE

NEXT = b"GET /next HTTP/1.1\r\n"
END = b"0\r\n\r\n"


def fed(one, pieces):
    """Feed a decoder; return payload, and what stands behind the end."""
    payload, rest = [], b""
    for piece in pieces:
        if one.done:
            rest += piece
            continue
        data, behind = one.feed(piece)
        assert one.done or not behind
        payload.append(data)
        rest += behind
    return b"".join(payload), rest


def ways(data):
    """Give the bytes whole, byte by byte, and in threes."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    yield [data[at : at + 3] for at in range(0, len(data), 3)]


# --- chunks: RFC 9112 section 7.1 ----------------------------------------------------------------------------

# what is said, body -> payload, trailers that go on
CHUNKS = [
    ("an empty body", END, b"", b""),
    ("one chunk", b"5\r\nhello\r\n" + END, b"hello", b""),
    ("chunks of several sizes", b"1\r\na\r\n2\r\nbc\r\n" + END, b"abc", b""),
    ("a size in capitals", b"A\r\n0123456789\r\n" + END, b"0123456789", b""),
    ("a size in small letters", b"a\r\n0123456789\r\n" + END, b"0123456789", b""),
    ("leading zeros", b"0005\r\nhello\r\n000\r\n\r\n", b"hello", b""),
    ("a payload like an end", b"5\r\n0\r\n\r\n\r\n" + END, b"0\r\n\r\n", b""),
    ("an extension", b"1;name\r\na\r\n" + END, b"a", b""),
    ("an extension with a value", b'1;name=value;other="a, b"\r\na\r\n' + END, b"a", b""),
    ("white space around an extension", b"1 ; name = x \r\na\r\n" + END, b"a", b""),
    ("an empty extension", b"1;\r\na\r\n" + END, b"a", b""),
    ("an extension of the last chunk", b"1\r\na\r\n0;last\r\n\r\n", b"a", b""),
    ("a trailer", b"1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", b"a", b"X-Sum: 1\r\n"),
    ("two trailers", b"0\r\nA: 1\r\nB:2\r\n\r\n", b"", b"A: 1\r\nB:2\r\n"),
    ("framing in a trailer (RFC 9110 6.5.1)", b"0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n", b"", b""),
    ("routing in a trailer", b"0\r\nHOST: evil\r\nA: 1\r\n\r\n", b"", b"A: 1\r\n"),
    ("credentials in a trailer", b"0\r\nAuthorization: x\r\nProxy-Authorization: y\r\n\r\n", b"", b""),
    ("cookies in a trailer", b"0\r\nSet-Cookie: x\r\n\r\n", b"", b""),
    ("content in a trailer", b"0\r\nContent-Type: x\r\nContent-Encoding: y\r\nContent-Range: z\r\n\r\n", b"", b""),
    ("this hop in a trailer", b"0\r\nConnection: A\r\nTE: x\r\nUpgrade: y\r\nTrailer: z\r\n\r\n", b"", b""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "payload", "trailers"), [row[1:] for row in CHUNKS], ids=[row[0] for row in CHUNKS]
)
def test_chunks_are_taken_apart(body, payload, trailers):
    """RFC 9112 section 7.1: payload and trailers come out, the next request stays, however the bytes come."""
    for pieces in [*ways(body), *ways(body + NEXT)]:
        one = ChunkedDecoder()
        rest = NEXT if b"".join(pieces).endswith(NEXT) else b""
        assert fed(one, pieces) == (payload, rest)
        assert (one.done, one.trailers, one.finish()) == (True, trailers, True)


BAD_CHUNKS = [
    (400, "no size", b"\r\n"),
    (400, "a size that is none", b"x\r\n"),
    (400, "a signed size", b"+1\r\na\r\n"),
    (400, "a negative size", b"-1\r\n"),
    (400, "a prefixed size", b"0x1\r\na\r\n"),
    (400, "an underscored size", b"1_0\r\n"),
    (400, "white space before the size", b" 1\r\na\r\n"),
    (400, "white space behind the size", b"1 \r\na\r\n"),
    (400, "a size of 16 digits", b"0000000000000001\r\na\r\n"),
    (400, "a size that would overflow", b"ffffffffffffffff1\r\n"),
    (400, "a size that ends with LF", b"1\na\r\n"),
    (400, "a size that ends with CR", b"1\ra\r\n"),
    (400, "a size in quotes", b'"1"\r\n'),
    (400, "a comma behind the size", b"1, 2\r\n"),
    (400, "a NUL in an extension", b"1;a\0\r\na\r\n"),
    (400, "a bare LF in an extension", b"1;a\nb\r\na\r\n"),
    (400, "a bare CR in an extension", b"1;a\rb\r\na\r\n"),
    (400, "an extension that is too long", b"1;" + b"a" * MAX_CHUNK_LINE + b"\r\na\r\n"),
    (400, "a chunk that is longer than its size", b"1\r\nab\r\n"),
    (400, "a chunk that ends with LF", b"1\r\na\n" + END),
    (400, "a chunk that ends with CR", b"1\r\na\r" + END),
    (400, "no CRLF behind a chunk", b"1\r\na" + END),
    (400, "a trailer without a colon", b"0\r\nA\r\n\r\n"),
    (400, "a folded trailer", b"0\r\nA: 1\r\n 2\r\n\r\n"),
    (400, "white space before a trailer's colon", b"0\r\nA : 1\r\n\r\n"),
    (400, "a NUL in a trailer", b"0\r\nA: \0\r\n\r\n"),
    (400, "a bare LF in a trailer", b"0\r\nA: 1\nB: 2\r\n\r\n"),
    (400, "a bare CR in a trailer", b"0\r\nA: 1\rB: 2\r\n\r\n"),
    (431, "a trailer section that is too long", b"0\r\nA: " + b"x" * MAX_TRAILERS + b"\r\n\r\n"),
    (431, "one that never ends", b"0\r\n" + b"A: 1\r\n" * (MAX_TRAILERS // 6 + 1)),
]


@pytest.mark.parametrize(
    ("status", "body"), [(row[0], row[2]) for row in BAD_CHUNKS], ids=[row[1] for row in BAD_CHUNKS]
)
def test_what_is_not_strictly_a_chunk_is_refused(status, body):
    """RFC 9112 section 7.1: with the same status however the bytes come."""
    for pieces in [*ways(body), *ways(body + NEXT)]:
        with pytest.raises(ProtocolError) as caught:
            fed(ChunkedDecoder(), pieces)
        assert caught.value.status == status


def test_a_chunk_line_has_a_limit():
    """RFC 9112 section 7.1.1: a size and its extensions may take so many bytes, and not one more."""
    line = b"1;" + b"a" * (MAX_CHUNK_LINE - 4) + b"\r\n"
    assert len(line) == MAX_CHUNK_LINE
    for pieces in ways(line + b"x\r\n" + END):
        assert fed(ChunkedDecoder(), pieces) == (b"x", b"")
    for pieces in ways(line.replace(b";", b";a") + b"x\r\n" + END):
        with pytest.raises(ProtocolError):
            fed(ChunkedDecoder(), pieces)


def test_a_flood_of_extensions_is_refused():
    """Many small chunks with extensions cost the gateway more than they carry."""
    flood = b"1;" + b"e" * 1000 + b"\r\nx\r\n"
    one = ChunkedDecoder()
    for _ in range(MAX_EXTENSIONS // 1001):
        assert one.feed(flood) == (b"x", b"")
    with pytest.raises(ProtocolError):
        one.feed(flood)


def test_large_chunks_earn_extensions():
    """A signed upload, with an extension on each chunk of 64 KiB, goes through however long it is."""
    one = ChunkedDecoder()
    piece = b"10000;chunk-signature=" + b"f" * 64 + b"\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(1000):
        assert len(one.feed(piece)[0]) == 65536


def test_a_trailer_section_has_a_limit():
    """RFC 6585 section 5: so many bytes of trailers, and not one more."""
    for size in (MAX_TRAILERS - 1, MAX_TRAILERS):
        trailers = b"A: " + b"x" * (size - 5) + b"\r\n"
        for pieces in ways(b"0\r\n" + trailers + b"\r\n"):
            one = ChunkedDecoder()
            assert fed(one, pieces) == (b"", b"")
            assert one.trailers == trailers


def test_small_chunks_come_out_together():
    """What was cut small is passed on whole."""
    assert ChunkedDecoder().feed(b"1\r\na\r\n" * 500)[0] == b"a" * 500


def test_a_chunked_body_cut_short_is_not_whole():
    """RFC 9112 section 8: the end of the stream is no end of chunks."""
    body = b"5\r\nhello\r\n0\r\nA: 1\r\n\r\n"
    for end in range(len(body)):
        one = ChunkedDecoder()
        one.feed(body[:end])
        assert not one.finish()


def test_a_decoder_tells_where_it_stands():
    """Logs and failed tests show what was waited for."""
    one = ChunkedDecoder()
    seen = [repr(one)]
    for piece in (b"3\r\n", b"abc", b"\r\n0\r\n", b"\r\n"):
        one.feed(piece)
        seen.append(repr(one))
    assert seen == [
        "<ChunkedDecoder size left=0>",
        "<ChunkedDecoder data left=3>",
        "<ChunkedDecoder data-end left=0>",
        "<ChunkedDecoder trailers left=0>",
        "<ChunkedDecoder trailers left=0>",
    ]


# --- lengths, and no length ----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_length_is_counted(length):
    """RFC 9112 section 6.2: so many bytes are the body, and what is behind is the next message."""
    body = b"hello"[:length]
    for pieces in [*ways(body), *ways(body + NEXT)]:
        one = LengthDecoder(length)
        rest = NEXT if len(b"".join(pieces)) > length else b""
        assert fed(one, pieces) == (body, rest)
        assert one.finish()


def test_a_length_cut_short_is_not_whole():
    """RFC 9112 section 8: fewer bytes than announced are an incomplete message."""
    one = LengthDecoder(5)
    assert not one.finish()
    one.feed(b"hell")
    assert (one.finish(), repr(one)) == (False, "<LengthDecoder left=1>")


def test_a_length_of_zero_is_whole_at_once():
    """A body of no bytes is over before it begins, and takes none of what follows."""
    one = LengthDecoder(0)
    assert one.done
    assert one.feed(NEXT) == (b"", NEXT)


def test_a_body_until_the_end_takes_everything():
    """RFC 9112 section 6.3, rule 8: only the end of the connection ends it."""
    one = UntilCloseDecoder()
    assert fed(one, [b"a", NEXT]) == (b"a" + NEXT, b"")
    assert not one.done
    assert (one.finish(), one.done) == (True, True)


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        (0, "<LengthDecoder left=0>"),
        (7, "<LengthDecoder left=7>"),
        (CHUNKED, "<ChunkedDecoder size left=0>"),
        (UNTIL_CLOSE, "<UntilCloseDecoder>"),
    ],
)
def test_framing_chooses_the_decoder(framing, expected):
    """What the head says decides who reads the body."""
    assert repr(decoder(framing)) == expected


def test_chunks_are_written_as_they_are_read():
    """RFC 9112 section 7.1: what the encoder writes, the decoder reads."""
    data = chunk(b"x" * 300) + chunk(b"\r\n") + last_chunk(b"A: 1\r\n")
    one = ChunkedDecoder()
    assert one.feed(data) == (b"x" * 300 + b"\r\n", b"")
    assert one.trailers == b"A: 1\r\n"
