"""Queries, forms and objects, changed in place: what is not touched stays byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyd.bodies import find
from proxyd.bodies.form import Arguments
from proxyd.bodies.members import Members, json_string
from proxyd.bodies.multipart import Form
from proxyd.errors import UnsendableError

# --- queries and forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "result"),
    [
        ([], b"a=1&b=%32&a=3&c&&x+y=z"),
        ([("remove", b"a")], b"b=%32&c&&x+y=z"),
        ([("remove", b"x y")], b"a=1&b=%32&a=3&c&"),
        ([("rename", b"a", b"n w")], b"n%20w=1&b=%32&n%20w=3&c&&x+y=z"),
        ([("rename", b"c", b"b")], b"a=1&a=3&b&&x+y=z"),
        ([("rename", b"none", b"a")], b"a=1&b=%32&a=3&c&&x+y=z"),
        ([("replace", b"a", b"&=")], b"a=%26%3D&b=%32&c&&x+y=z"),
        ([("replace", b"none", b"1")], b"a=1&b=%32&a=3&c&&x+y=z"),
        ([("add", b"a", b"1")], b"a=1&b=%32&a=3&c&&x+y=z"),
        ([("add", b"d", "ü\r\n".encode())], b"a=1&b=%32&a=3&c&&x+y=z&d=%C3%BC%0D%0A"),
        ([("append", b"a", b"4")], b"a=1&b=%32&a=3&c&&x+y=z&a=4"),
    ],
)
def test_arguments_keep_their_order_and_spelling(steps, result):
    """Names are compared decoded; what is written is encoded."""
    arguments = Arguments(b"a=1&b=%32&a=3&c&&x+y=z")
    for step, *values in steps:
        getattr(arguments, step)(*values)
    assert (arguments.encode(), arguments.changed) == (result, result != b"a=1&b=%32&a=3&c&&x+y=z")


def test_what_comes_from_a_body_can_stand_in_a_query():
    """Line ends and spaces of a form are encoded: it may hold any byte."""
    arguments = Arguments(b"")
    arguments.extend(Arguments(b"a b=c\r\nd&\xff&e=%41+"))
    assert arguments.encode() == b"a%20b=c%0D%0Ad&%FF&e=A%20"
    assert repr(arguments) == "<Arguments 3 changed>"


# --- objects -------------------------------------------------------------------------------------------------

OBJECT = b'{ "a": 1.10, "big" : 123456789012345678901234567890,\n"list":[1, 2],"a":"twice", "\\u0065": null, "no": false }'


@pytest.mark.parametrize(
    ("step", "values", "result"),
    [
        ("remove", [b"a"], b'{"big":123456789012345678901234567890,"list":[1, 2],"\\u0065":null,"no":false}'),
        ("remove", [b"e"], b'{"a":1.10,"big":123456789012345678901234567890,"list":[1, 2],"a":"twice","no":false}'),
        ("rename", [b"no", b'"'], b'{"a":1.10,"big":123456789012345678901234567890,"list":[1, 2],"a":"twice","\\u0065":null,"\\"":false}'),
        ("rename", [b"big", b"a"], b'{"a":123456789012345678901234567890,"list":[1, 2],"\\u0065":null,"no":false}'),
        ("replace", [b"a", b'"x"'], b'{"a":"x","big":123456789012345678901234567890,"list":[1, 2],"\\u0065":null,"no":false}'),
        ("add", [b"new", b"1"], b'{"a":1.10,"big":123456789012345678901234567890,"list":[1, 2],"a":"twice","\\u0065":null,"no":false,"new":1}'),
        ("append", [b"list", b'"x"'], b'{"a":1.10,"big":123456789012345678901234567890,"list":[1, 2,"x"],"a":"twice","\\u0065":null,"no":false}'),
        ("append", [b"no", b'"x"'], b'{"a":1.10,"big":123456789012345678901234567890,"list":[1, 2],"a":"twice","\\u0065":null,"no":[false,"x"]}'),
        ("append", [b"e", b'"x"'], b'{"a":1.10,"big":123456789012345678901234567890,"list":[1, 2],"a":"twice","\\u0065":["x"],"no":false}'),
    ],
)  # fmt: skip
def test_members_keep_their_text(step, values, result):
    """Numbers that no float holds, repeated names and escapes stay; a name is compared as what it means."""
    members = Members(OBJECT)
    getattr(members, step)(*values)
    assert (members.encode(), members.changed) == (result, True)


@pytest.mark.parametrize(
    ("step", "values"),
    [("remove", [b"x"]), ("rename", [b"x", b"a"]), ("replace", [b"x", b"1"]), ("add", [b"no", b"1"])],
)
def test_what_does_not_apply_changes_nothing(step, values):
    """A member that is false is there."""
    members = Members(OBJECT)
    getattr(members, step)(*values)
    assert not members.changed


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1 "b":2}', b"{a:1}", b"{} {}", b'{"a":1}x', b"[1", b"\xff",
     b'{"a":' + b"[" * 100_000, b"\xef\xbb\xbf{}"],
)  # fmt: skip
def test_what_is_not_json_is_told(text):
    """Whoever changes bodies decides what becomes of it."""
    with pytest.raises(ValueError):  # noqa: PT011  # the codec tells it in its own words
        Members(text)


@pytest.mark.parametrize("text", [b"[]", b' "text"', b"1", b"null"])
def test_what_is_no_object_is_told_apart(text):
    """It is JSON, and has no members."""
    with pytest.raises(TypeError):
        Members(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=3), values, max_size=6), st.text(max_size=3), st.text(), st.booleans()
)
def test_an_object_is_what_python_makes_of_it(document, name, text, compact):
    """Whatever it holds, and however it is written."""
    separators = (",", ":") if compact else (" ,\n", " :\t")
    key = name.encode("utf-8", "surrogatepass")
    members = Members(json.dumps(document, separators=separators).encode())
    assert json.loads(members.encode()) == document
    members.replace(key, json_string(text.encode()))
    members.add(key, json_string(text.encode()))
    assert json.loads(members.encode()) == document | {name: text}
    members.remove(key)
    assert json.loads(members.encode()) == {k: v for k, v in document.items() if k != name}


# --- multipart forms -----------------------------------------------------------------------------------------

TYPE = b'multipart/form-data; charset=utf-8; boundary="x y"'
FORM = (
    b'preamble\r\n--x y\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--x y\r\ncontent-disposition: form-data; filename="name=b"; name=b\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\r\n\r\n'
    b"--x y\r\nX-Other: 1\r\n\r\n\r\n--x y--\r\nepilogue"
)


@pytest.mark.parametrize(
    ("step", "values", "old", "new"),
    [
        ("remove", [b"a"], b'\r\n--x y\r\nContent-Disposition: form-data; name="a"\r\n\r\n1', b""),
        ("rename", [b"b", b'"c'], b"name=b\r\n", b'name="%22c"\r\n'),
        ("replace", [b"a", b"2\r\n"], b"\r\n\r\n1\r\n", b"\r\n\r\n2\r\n\r\n"),
        ("add", [b"c", b"3"], b"--x y--", b'--x y\r\nContent-Disposition: form-data; name="c"\r\n\r\n3\r\n--x y--'),
        ("append", [b"a", b"3"], b"--x y--", b'--x y\r\nContent-Disposition: form-data; name="a"\r\n\r\n3\r\n--x y--'),
    ],
)  # fmt: skip
def test_fields_of_a_form(step, values, old, new):
    """The other parts stay, files among them."""
    form = Form(TYPE, FORM)
    assert (form.encode(), repr(form)) == (FORM, "<Form 3>")
    getattr(form, step)(*values)
    assert (form.encode(), form.changed) == (FORM.replace(old, new, 1), True)


@pytest.mark.parametrize(
    "part",
    [
        b"\r\n\r\nno header line",
        b"\r\nContent-Disposition: form-data\r\n\r\nno name",
        b"\r\nContent-Disposition: attachment; name=a\r\n\r\nno field",
        b"\r\nContent-Disposition: form-data; name=a",
        b"\r\nContent-Disposition: form-data; name=a\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    ],
)
def test_a_part_that_is_no_field_hides_none(part):
    """It stays, the fields beside it are changed, and whoever looks for a field gets none."""
    body = FORM.replace(b"--x y--", b"--x y" + part + b"\r\n--x y--")
    form = Form(TYPE, body)
    form.remove(b"a")
    first = b'--x y\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    assert form.encode() == body.replace(first, b"", 1)
    assert find(TYPE, body).without(()) == b""


def test_a_value_that_would_make_a_part_is_refused():
    """A client that a template takes a value from adds no fields by it."""
    with pytest.raises(UnsendableError):
        Form(TYPE, FORM).add(b"c", b"1\r\n--x y\r\n")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"multipart/form-data", FORM),
        (TYPE, b""),
        (TYPE, FORM.replace(b"--x y--", b"--x y")),
        (TYPE, FORM.replace(b"--x y\r\n", b"--x yz\r\n", 1)),
    ],
)
def test_what_is_no_form_is_told(content_type, body):
    """Without a boundary or an end."""
    with pytest.raises(ValueError, match="there is"):
        Form(content_type, body)
