"""What holds of the codec whatever the bytes are. ``HYPOTHESIS_PROFILE=long`` looks for longer."""

from __future__ import annotations

import itertools
import re

import pytest
from feeding import said
from hypothesis import example, given
from hypothesis import strategies as st

from proxyd.errors import ProtocolError
from proxyd.http1 import encoder, headers, parser
from proxyd.http1.framing import ChunkedDecoder, chunk, last_chunk
from proxyd.http1.headers import HOP_BY_HOP, Headers, is_field_value
from proxyd.http1.parser import HeadLimits

LIMITS = HeadLimits()
CAPACITY = 65536  # bytes of a head beyond which the scanner does not look
METHODS = ("GET", "HEAD")

# --- what heads are made of ----------------------------------------------------------------------------------

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
tokens = st.lists(st.sampled_from([bytes([byte]) for byte in TOKEN]), min_size=1, max_size=40).map(b"".join)
values = st.binary(max_size=30).filter(is_field_value)
spaces = st.sampled_from([b"", b" ", b"\t", b"  "])
# Fields that mean something here, with values that do and values that almost do.
known = st.sampled_from(
    [
        (name, value)
        for name, said_values in {
            b"Host": (b"h", b"H.example:80", b"[::1]", b"", b"a b"),
            b"Connection": (b"close", b"keep-alive", b"Close, x", b"Upgrade", b"TE", b"accept"),
            b"Content-Length": (b"0", b"7", b"007", b"+7", b"7, 7", b"9" * 18, b"9" * 19, b""),
            b"Transfer-Encoding": (b"chunked", b"Chunked", b"gzip, chunked", b"chunked, chunked"),
            b"Content-Type": (b"a/b", b"text/html"),
            b"Authorization": (b"Basic x",),
            b"Keep-Alive": (
                b"timeout=5",
                b"timeout=5, max=1",
                b"max=1",
                b"timeout=",
                b"timeout=" + b"9" * 19,
            ),
            b"TE": (b"trailers", b"gzip"),
            b"Upgrade": (b"websocket",),
            b"Proxy-Connection": (b"keep-alive",),
            b"Expect": (b"100-continue", b"x"),
            b"X-Real-IP": (b"1.2.3.4",),
            b"X-Forwarded-For": (b"1.2.3.4",),
            b"X-Forwarded-Anything": (b"x",),
            b"traceparent": (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",),
            b"b3": (b"0",),
            b"X-B3-TraceId": (b"0af7651916cd43dd8448eb211c80319c",),
            b"uber-trace-id": (b"1:2:0:1",),
            b"X-Kong-Request-Id": (b"abc",),
            b"HTTP2-Settings": (b"AAMAAABk",),
            b"Proxy": (b"x",),
            b"Accept": (b"*/*",),
        }.items()
        for value in said_values
    ]
)
cases = st.sampled_from([bytes, bytes.lower, bytes.upper])
fields = st.one_of(st.tuples(tokens, values), known)


@st.composite
def lines(draw):
    name, value = draw(fields)
    return draw(cases)(name) + b":" + draw(spaces) + value + draw(spaces) + b"\r\n"


paths = st.lists(
    st.sampled_from([b"/", b"/", b"a", b"b.c", b".", b"..", b"%41", b"%2f", b"%", b"~", b"(", b"|", b"\\"]), max_size=8
).map(lambda parts: b"/" + b"".join(parts))  # fmt: skip
queries = st.one_of(st.just(b""), st.sampled_from([b"?", b"?a=b", b"?#", b'?a="b"', b"?%zz|^", b"?\xc3"]))
targets = st.one_of(
    st.builds(bytes.__add__, paths, queries), st.sampled_from([b"*", b"http://h/a", b"a", b"https://h?x"])
)
methods = st.one_of(st.sampled_from([b"GET", b"POST", b"OPTIONS", b"CONNECT", b"get", b"G T"]), tokens)
versions = st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"http/1.1"])


@st.composite
def requests(draw):
    start = draw(methods) + b" " + draw(targets) + b" " + draw(versions) + b"\r\n"
    if draw(st.integers(0, 4)):
        start += b"Host: example.com\r\n"
    return start + b"".join(draw(st.lists(lines(), max_size=6))) + b"\r\n"


statuses = st.one_of(
    st.sampled_from([b"200", b"204", b"304", b"101", b"100", b"600", b"20"]),
    st.integers(100, 599).map(lambda status: b"%d" % status),
)


@st.composite
def answers(draw):
    phrase = draw(st.one_of(st.just(b""), st.just(b" "), values.map(lambda text: b" " + text)))
    start = draw(versions) + b" " + draw(statuses) + phrase + b"\r\n"
    return start + b"".join(draw(st.lists(lines(), max_size=6))) + b"\r\n"


@st.composite
def mutated(draw, heads):
    data = draw(heads)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        what = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b"\xff", b"\r\n\r\n", b"a" * 40])
        )
        data = data[:at] + what + data[at + draw(st.integers(0, 3)) :]
    return data


def outcome(parse, data, *more):
    """Return what a parser makes of bytes: a head and its size, nothing yet, or a refusal."""
    try:
        parsed = parse(data, *more)
    except ProtocolError as error:
        return ("refused", error.status)
    return None if parsed is None else (said(parsed[0]), parsed[1])


# Names whose fields do not come back as they were: those of a hop, and those that may stand once only.
NOT_AS_IT_WAS = HOP_BY_HOP | {b"content-length", b"host", b"content-type", b"authorization"}

# --- the scanner is the parser -------------------------------------------------------------------------------

CONTROL = re.compile(rb"[\r\n]")
scanner = pytest.mark.skipif(parser.scan_request is None, reason="the scanner was not built")


def scanned(data, limits=LIMITS):
    return parser.scan_request(data, limits.line, limits.size, limits.count)


@scanner
@given(mutated(requests()), st.binary(max_size=20))
@example(b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 000000000000000000\r\n\r\n", b"")
@example(b"GET /a..b/c. HTTP/1.1\r\nHost: h\r\n\r\n", b"\r\n")
def test_the_scanner_reads_a_request_as_the_parser_does(data, tail):
    """Where the compiled scanner answers, its answer is the regular expressions'."""
    assert outcome(parser.parse_request, data + tail, LIMITS) == outcome(
        parser.parse_any_request, data + tail, LIMITS
    )


@scanner
@given(mutated(answers()), st.sampled_from(METHODS), st.binary(max_size=20))
@example(b"HTTP/1.1 200\r\n\r\n", "GET", b"")
@example(b"HTTP/1.1 200 \r\nKeep-Alive: timeout=000000000000000005\r\n\r\n", "GET", b"")
def test_the_scanner_reads_an_answer_as_the_parser_does(data, method, tail):
    """Where the compiled scanner answers, its answer is the regular expressions'."""
    assert outcome(parser.parse_response, data + tail, method, LIMITS) == outcome(
        parser.parse_any_response, data + tail, method, LIMITS
    )


@scanner
@given(st.lists(st.tuples(st.sampled_from([b"A", b"a", b"X-Y"]), st.binary(max_size=9)), max_size=9))
def test_the_scanner_splits_a_section_as_python_does(fields):
    """Names in lower case, repeated fields behind one another, in their order."""
    section = b"".join(b"%b:%b\r\n" % (name, CONTROL.sub(b"", value)) for name, value in fields)
    assert list(headers.split_lines(section).items()) == list(headers.split_any_lines(section).items())


NAMES = [b"a", b"b", b"ab", b"x-y"]


@scanner
@given(
    st.lists(
        st.tuples(st.sampled_from([b"A", b"a", b"aB", b"X-Y", b"x_y"]), st.binary(max_size=9)), max_size=9
    ),
    st.lists(
        st.tuples(st.sampled_from(["remove", "put", "many", "append"]), st.sampled_from(NAMES)), max_size=4
    ),
)
def test_a_section_in_one_piece_answers_and_changes_as_one_taken_apart_does(fields, changes):
    """What is found in it, and what is left of it, are the same whether it is bytes or lines by name."""
    section = b"".join(b"%b:%b\r\n" % (name, CONTROL.sub(b"", value)) for name, value in fields)
    whole, apart = Headers(None, section), Headers(headers.split_any_lines(section))
    for change, name in changes:
        for one in (whole, apart):
            if change == "remove":
                one.remove(name)
            elif change == "append":
                one.append(b"%b: more\r\n" % name)
            elif change == "many":
                one.put(headers.Block((*(b"n%d" % number for number in range(20)), name), b""))
            else:
                one.put(headers.Block.of([(name, b"new"), (b"Z", b"1")], absent=[b"ab"]))
    assert whole.raw is not None
    for name in NAMES:
        assert whole.get(name) == apart.get(name)
        assert whole.get_all(name) == apart.get_all(name)
        assert (name in whole) == (name in apart)
    assert sorted(whole) == sorted(apart)


small = st.builds(HeadLimits, line=st.integers(10, 60), size=st.integers(20, 160), count=st.integers(0, 5))


@scanner
@given(requests(), small)
def test_the_scanner_holds_the_limits_of_requests(data, limits):
    """Near each limit, too, the two agree."""
    assert outcome(parser.parse_request, data, limits) == outcome(parser.parse_any_request, data, limits)


@scanner
@given(answers(), small)
def test_the_scanner_holds_the_limits_of_answers(data, limits):
    """Near each limit, too, the two agree."""
    assert outcome(parser.parse_response, data, "GET", limits) == outcome(
        parser.parse_any_response, data, "GET", limits
    )


@scanner
@pytest.mark.parametrize("size", range(CAPACITY - 3, CAPACITY + 4))
@pytest.mark.parametrize("limit", [CAPACITY - 4, CAPACITY, CAPACITY + 1, 2 * CAPACITY])
def test_the_scanner_holds_its_capacity(size, limit):
    """A head that fills its memory to the last byte, and one that does not fit, are read as any other."""
    limits = HeadLimits(size=limit)
    for start in (b"GET / HTTP/1.1\r\nHost: h\r\nA: ", b"HTTP/1.1 200 OK\r\nA: "):
        data = start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"
        assert len(data) == size
        for whole in (data, data + b"tail", data[:-1]):
            if start.startswith(b"GET"):
                assert outcome(parser.parse_request, whole, limits) == outcome(
                    parser.parse_any_request, whole, limits
                )
            else:
                assert outcome(parser.parse_response, whole, "GET", limits) == outcome(
                    parser.parse_any_response, whole, "GET", limits
                )


@scanner
def test_the_scanner_takes_what_browsers_send():
    """The comparison is worth something: plain heads are the scanner's."""
    plain = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nUser-Agent: x\r\nConnection: keep-alive\r\n\r\n"
    assert scanned(plain) is not None
    assert scanned(plain[:-1]) is None
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 2\r\nDate: x\r\n\r\nok"
    assert parser.scan_response(answer, LIMITS.size, LIMITS.count) is not None


# --- any bytes, in any pieces --------------------------------------------------------------------------------


def incrementally(parse, data, cuts, *more):
    """Feed growing prefixes, as a connection does; return the first that is not nothing."""
    for end in [*sorted(cuts), len(data)]:
        result = outcome(parse, data[:end], *more)
        if result is not None:
            return result
    return None


def agree(whole, pieces):
    """Whether two outcomes are one: the same head, or a refusal both; which fault counts first may differ."""
    if isinstance(whole, tuple) and whole[0] == "refused":
        return isinstance(pieces, tuple) and pieces[0] == "refused"
    return whole == pieces


cutting = st.lists(st.integers(0, 400), max_size=8)


@given(mutated(requests()), cutting)
def test_a_request_is_the_same_in_any_pieces(data, cuts):
    """How the network cuts a request has no say in what it is."""
    whole = outcome(parser.parse_request, data, LIMITS)
    assert agree(whole, incrementally(parser.parse_request, data, cuts, LIMITS))


@given(mutated(answers()), cutting, st.sampled_from(METHODS))
def test_an_answer_is_the_same_in_any_pieces(data, cuts, method):
    """How the network cuts an answer has no say in what it is."""
    whole = outcome(parser.parse_response, data, method, LIMITS)
    assert agree(whole, incrementally(parser.parse_response, data, cuts, method, LIMITS))


@given(st.one_of(st.binary(max_size=200), mutated(requests()), mutated(answers())))
def test_any_bytes_give_a_head_or_a_refusal(data):
    """Nothing but ProtocolError ever comes out, and what is read never has a control in it."""
    for result in (
        outcome(parser.parse_request, data, LIMITS),
        outcome(parser.parse_response, data, "GET", LIMITS),
    ):
        if isinstance(result, tuple) and result[0] != "refused":
            text = result[0]["headers"].replace(b"\r\n", b"")
            assert is_field_value(text)
            assert result[1] <= len(data)


@given(requests())
def test_a_request_that_is_read_says_one_thing_about_its_body(data):
    """No head goes through with two framings, two Hosts or a line that another parser would fold."""
    result = outcome(parser.parse_request, data, LIMITS)
    if result is not None and result[0] != "refused":
        lower = data.lower()
        assert lower.count(b"\r\nhost:") <= 1
        assert not (b"\r\ncontent-length:" in lower and b"\r\ntransfer-encoding:" in lower)
        assert b"\r\n " not in data
        assert b"\r\n\t" not in data


# --- round trips ---------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(tokens, values.map(bytes.strip).filter(is_field_value)), max_size=10))
def test_fields_come_back_as_they_were(items):
    """What is written is what is read, in its order within each name."""
    headers = Headers.of(items)
    again = Headers(None, headers.encode())
    for name, _ in items:
        expected = [value.strip(b" \t\r") for key, value in items if key.lower() == name.lower()]
        assert headers.get_all(name.lower()) == again.get_all(name.lower()) == expected
    assert again.encode() == headers.encode()


@given(st.integers(200, 599), values, st.lists(st.tuples(tokens, values), max_size=5))
def test_an_answer_comes_back_as_it_was(status, reason, items):
    """A status line and fields that the encoder wrote are read as such."""
    plain = [(name, value) for name, value in items if name.lower() not in NOT_AS_IT_WAS]
    fields = Headers.of([(b"Content-Length", b"3"), *plain]).encode()
    data = encoder.status_line(status, reason) + fields + b"\r\n"
    result = outcome(parser.parse_response, data, "GET", LIMITS)
    assert result is not None
    assert result[0] != "refused"
    head, size = result
    assert (head["status"], size) == (status, len(data))
    assert head["headers"] == fields


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.binary(max_size=20), cutting)
def test_chunks_come_back_in_any_pieces(payloads, tail, cuts):
    """What was cut into chunks comes out whole, however the chunks are cut, and nothing behind it is lost."""
    data = b"".join(map(chunk, payloads)) + last_chunk() + tail
    one, payload, rest = ChunkedDecoder(), b"", b""
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        if one.done:
            rest += data[start:end]
        elif start < end:
            piece, behind = one.feed(data[start:end])
            payload += piece
            rest += behind
    assert (payload, rest, one.done) == (b"".join(payloads), tail, True)


chunky = st.lists(
    st.sampled_from([b"0", b"1", b"a", b"5", b";", b"x=y", b"\r\n", b"\r", b"\n", b" ", b"hello", b"X: 1", b"\0"]),
    max_size=25,
).map(b"".join)  # fmt: skip


@given(chunky, cutting)
def test_anything_chunked_is_the_same_in_any_pieces(data, cuts):
    """Payload, trailers and refusal do not depend on how the network cuts them."""

    def decode(pieces):
        one, payload, rest = ChunkedDecoder(), b"", b""
        try:
            for piece in pieces:
                if one.done:
                    rest += piece
                else:
                    found, behind = one.feed(piece)
                    payload += found
                    rest += behind
        except ProtocolError as error:
            return error.status
        return (payload, rest, one.done, one.trailers)

    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges) if start < end]
    assert decode([data]) == decode(pieces)
