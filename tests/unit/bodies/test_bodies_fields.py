"""Fields of bodies: found, and cut out without a change to anything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.bodies import FORM, JSON, MULTIPART, find, read
from proxyd.bodies.fields import Fields
from proxyd.bodies.members import MAX_DEPTH
from proxyd.errors import ProtocolError

BOUNDARY = MULTIPART + b"; boundary=b1"
WHOLE = (
    b"--b1\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n"
    b'--b1 \r\nContent-Type: text/plain\r\ncontent-disposition:form-data; filename="; name=\\"k"; name="k"\r\n\r\none\r\n'
    b"--b1\r\nContent-Disposition: form-data; name=c\r\n\r\nx\r\n--b\r\n\r\n--b1--\r\nepilogue"
)
FIRST, _, REST = WHOLE.partition(b"--b1 ")
LAST = REST[REST.index(b"--b1\r\n") :]


@pytest.mark.parametrize(
    ("kind", "body", "values", "left"),
    [
        (FORM, b"a=1&k=one&b=%41+c", [b"one"], b"a=1&b=%41+c"),
        (FORM, b"%6B=o%6Ee+1&&x", [b"one 1"], b"&x"),
        (FORM, b"k=1&k=2&a", [b"1", b"2"], b"a"),
        (FORM, b"k=%ff", [b"\xff"], b""),
        (JSON, b'{"k":"one"}', [b"one"], b"{}"),
        (JSON, b' { "k" : "one" , "a" : 1.10 } ', [b"one"], b' { "a" : 1.10 } '),
        (JSON, b'{"a":12345678901234567890123,"k":"one"}', [b"one"], b'{"a":12345678901234567890123}'),
        (JSON, b'{"a":1e1000, "k":"on\\u0065" ,"b":[{"k":2}] }', [b"one"], b'{"a":1e1000 ,"b":[{"k":2}] }'),
        (JSON, b'{"k":"1","a":"\xc3\xa9","\\u006b":"2"}', [b"1", b"2"], b'{"a":"\xc3\xa9"}'),
        (JSON, b'{"k":7,"a":' + b"9" * 5000 + b"}", [None], b'{"a":' + b"9" * 5000 + b"}"),
        (JSON, b'{"k":"\\ud800"}', [b"\xed\xa0\x80"], b"{}"),
        (BOUNDARY, WHOLE, [b"one"], FIRST + LAST),
        (MULTIPART + b'; Boundary="b1"', b"pre\r\n" + WHOLE, [b"one"], b"pre\r\n" + FIRST + LAST),
        (BOUNDARY, b"pre\r\n" + WHOLE[len(FIRST) : -len(LAST)] + b"--b1--", [b"one"], b"pre\r\n--b1--"),
        (BOUNDARY, WHOLE[len(FIRST) :], [b"one"], LAST),
    ],
)
def test_a_field_is_found_and_cut_out(kind, body, values, left):
    """Under any spelling of its name; what stays is as it was, byte by byte."""
    fields = find(kind + b" ; charset=utf-8" if kind is JSON else kind, body)
    assert [one.value for one in fields.named(b"k")] == values
    assert fields.without(()) == body
    assert fields.without({b"k", b"nothing"}) == left
    assert find(kind, left).named(b"k") == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, b""),
        (JSON, b'["k"]'),
        (JSON, b'{"k":"one"'),
        (JSON, b'{"k":"one"} x'),
        (JSON, b'{"k":"one",}'),
        (JSON, b'{"k":NaN}'),
        (JSON, b'{"k" "one"}'),
        (JSON, b'{"k":}'),
        (JSON, b'{"k":"\xff"}'),
        (JSON, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b',"k":"one"}'),
        (FORM, b""),
        (MULTIPART, WHOLE),
        (BOUNDARY, WHOLE.partition(b"--b1--")[0]),
        (BOUNDARY, WHOLE.replace(b"--b1 ", b"--b1x")),
        (BOUNDARY, WHOLE.replace(b"content-disposition", b"content-dispo")),
        (BOUNDARY, WHOLE.replace(b"text/plain", b"x" * 9000)),
        (BOUNDARY, WHOLE.replace(b"form-data; name=c", b"attachment; name=c")),
        (BOUNDARY, WHOLE.replace(b"; name=c", b"")),
        (MULTIPART + b"; boundary=" + b"b" * 71, WHOLE.replace(b"b1", b"b" * 71)),
        (JSON, b'{"k":"one","a":' + b'[{"a":' * 300 + b"1" + b"}]" * 300 + b"}"),
        (b"text/plain", b"k=one"),
        (b"", b"k=one"),
    ],
)
def test_what_cannot_be_read_has_no_fields(kind, body):
    """It is passed on as it came, or refused by whoever needed a field."""
    fields = find(kind, body)
    assert (repr(fields).partition(" ")[2], fields.without(())) == ("0>", b"")


MANY = [
    (FORM, b"&" * 3000),
    (JSON, b"{" + b'"a":1,' * 3000 + b'"k":"one"}'),
    (BOUNDARY, b"--b1\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 3000 + b"--b1--"),
]


@pytest.mark.parametrize(("kind", "body"), MANY)
def test_too_many_fields_are_refused(kind, body):
    """Reading them would take the time of other requests."""
    for take_apart in (find, read):
        with pytest.raises(ProtocolError) as refused:
            take_apart(kind, body)
        assert refused.value.status == 413


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_member_has_a_bounded_number_of_levels(opening, closing):
    """One as deep as that is read, one deeper is not; brackets in a text are none."""

    def nested(levels):
        return b'{"a":' + opening * levels + b"[]" + closing * levels + b',"k":"' + b"[" * 1000 + b'"}'

    assert [one.value for one in find(JSON, nested(MAX_DEPTH - 1)).named(b"k")] == [b"[" * 1000]
    assert find(JSON, nested(MAX_DEPTH)).named(b"k") == []


def test_what_a_field_holds_is_told_apart():
    """A number is no text, and a list may hold several."""
    fields = find(JSON, b'{"k":1,"k":["a"],"k":{},"k":"a"}').named(b"k")
    assert [(one.value, one.several) for one in fields] == [
        (None, False),
        (None, True),
        (None, True),
        (b"a", False),
    ]


@given(
    st.dictionaries(
        st.sampled_from(["a", "k", "k ", "\u00e9", '"']),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4),
    ),
    st.sampled_from([None, 1, "\t"]),
)
def test_cutting_is_what_deleting_a_member_is(document, indent):
    """Of any object, however it is laid out."""
    body = json.dumps(document, indent=indent).encode()
    fields = find(JSON, body)
    assert fields.without(()) == body
    assert json.loads(fields.without({b"k"})) == {
        name: value for name, value in document.items() if name != "k"
    }


PIECES = (
    *(
        b"--b1",
        b"--",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Disposition: form-data; name=",
        b'"k"',
        b"k=",
        b"&",
        b"{",
        b"}",
    ),
    *(b":", b",", b"1.10", b'"one"', b"\\", b" ", b"\xff", b"[", b"]", b"%6B", b"+", b";", b"="),
)


@given(st.sampled_from([FORM, JSON, BOUNDARY]), st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_whatever_a_body_is(kind, body):
    """It is read or not; what was read is the body still, and a field that was cut out is not in it any more."""
    fields = find(kind, body)
    if type(fields) is not Fields:
        assert fields.without(()) == body
        assert find(kind, fields.without({b"k"})).named(b"k") == []
