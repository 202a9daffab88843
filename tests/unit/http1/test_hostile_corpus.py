"""The corpus of hostile input without a gateway: read whole, byte by byte, with more behind it, and by either reader."""

from __future__ import annotations

import pytest
from hostile_corpus import ANSWERS, DATA, REQUESTS, line_bytes
from hostile_reading import hold_to_h11, read_answers, read_requests, same, without_scanner
from hypothesis import given
from hypothesis import strategies as st

NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
CODEC = {
    400,
    405,
    414,
    417,
    431,
    501,
    505,
}  # the statuses that are the codec's; others are of a body or a route


@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.usefixtures("reading")
def test_a_request_is_the_same_however_it_comes(case):
    """Whole, byte by byte, and with more behind it, it is one thing, and refused where the corpus says so."""
    whole = read_requests([case.data])
    assert same(whole, read_requests(case.pieces))
    behind = read_requests([case.data + NEXT])
    word, status, _ = case.steps[-1]
    if word == "refused" and status in CODEC:
        assert behind[-1][0] == "refused"
        assert "smuggled" not in str([request[0] for request in behind[:-1]])
    if whole[-1] == "end":
        assert behind[: len(whole) - 1] == whole[:-1]
        assert len(behind) == len(whole) + 1
    elif whole[-1] != "incomplete":
        assert same(behind, whole)


@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.usefixtures("reading")
def test_an_answer_is_the_same_however_it_comes(case):
    """Whole and byte by byte, it is one thing."""
    method = case.options.get("method", "GET")
    assert same(read_answers([case.data], method), read_answers(case.pieces, method))


def test_the_corpus_is_as_large_as_it_says():
    """There are at least 150 requests and 40 answers, each with a reason, a verdict and a class of its own."""
    assert len(REQUESTS) >= 150
    assert len(ANSWERS) >= 40
    for case in (*REQUESTS.values(), *ANSWERS.values()):
        assert case.why
        assert case.steps
        assert case.kind
        words = {word for word, _, _ in case.steps}
        assert words <= (
            {"forwarded", "answered", "refused", "nothing"}
            if case.name in REQUESTS
            else {"passed", "refused", "cut"}
        )
        assert len([step for step in case.steps if step[0] == "forwarded"]) == (
            len(case.sent) if case.name in REQUESTS else 0
        )
    names = [
        line.removeprefix("name: ")
        for path in DATA.glob("*/*.txt")
        for line in path.read_text().splitlines()
        if line.startswith("name: ")
    ]
    assert len(names) == len(set(names)) == len(REQUESTS) + len(ANSWERS)


def test_escapes_stand_for_bytes():
    """The format of the corpus, by an example of each of its marks."""
    assert line_bytes(r"a\sb") == b"a b\r\n"
    assert line_bytes("a\\") == b"a"
    assert line_bytes(r"a\\") == b"a\\\r\n"
    assert line_bytes(r"\x00\r\n\t\0\{3*ab\n}\\") == b"\0\r\n\t\0" + b"ab\n" * 3 + b"\\\r\n"


# --- mutations -----------------------------------------------------------------------------------------------

SPICES = (
    b"",
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"\xff",
    b"\r\n\r\n",
    b"0",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: y\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"%2e",
    b"_",
)
small = [[case.data for case in cases.values() if len(case.data) < 2000] for cases in (REQUESTS, ANSWERS)]


@st.composite
def mutated(draw, seeds):
    """A case of the corpus with some of it taken out, put in, doubled, or replaced by a piece of another."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.integers(0, 8)))
        other = draw(st.sampled_from(seeds))
        start = draw(st.integers(0, len(other)))
        piece = draw(
            st.one_of(
                st.sampled_from(SPICES),
                st.just(data[at:until] * 2),
                st.binary(max_size=3),
                st.just(other[start : start + 30]),
            )
        )
        data = data[:at] + piece + data[until:]
    return data


def cut(data, sizes):
    """Yield the bytes in pieces of the given sizes, and the rest."""
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


cutting = st.lists(st.integers(1, 60), max_size=8)


@given(mutated(small[0]), cutting)
def test_a_mutated_request_is_read_or_refused(data, sizes):
    """Nothing but ProtocolError comes out; pieces and readers agree; what is accepted is one request to h11 too."""
    whole = read_requests([data])
    assert same(whole, read_requests(cut(data, sizes)))
    assert whole == without_scanner(read_requests, [data])
    hold_to_h11(data)


@given(mutated(small[1]), cutting, st.sampled_from(["GET", "HEAD"]))
def test_a_mutated_answer_is_read_or_refused(data, sizes, method):
    """Nothing but ProtocolError comes out, and pieces and readers agree."""
    whole = read_answers([data], method)
    assert same(whole, read_answers(cut(data, sizes), method))
    assert whole == without_scanner(read_answers, [data], method)
